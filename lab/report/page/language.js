
// Language: the reader's choice, else the browser's; both are in the page, so nothing is fetched.
const spoken = () => { try { return localStorage.getItem("language"); } catch { return null; } };
const speak = (language) => {
  root.dataset.language = language;
  root.lang = language;
};
speak(spoken() ?? (navigator.language.startsWith("ko") ? "ko" : "en"));
document.querySelector(".language").addEventListener("click", () => {
  speak(root.dataset.language === "ko" ? "en" : "ko");
  try { localStorage.setItem("language", root.dataset.language); } catch { /* private window: not kept */ }
});
