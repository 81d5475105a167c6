"""Our models under the LM Evaluation Harness (lm-eval 0.4.13), which this room alone imports."""
