"""Measurements that a run takes when ``evaluation.measures`` names them, beside what every run is judged by."""
