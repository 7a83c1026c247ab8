// Keys: "/" to the search, "g" and a letter to a page, "j" and "k" through the rows of tables.
(function () {
  "use strict";
  var goes = false;
  function isTyping(target) {
    return target.closest("input, textarea, select, [contenteditable]") !== null;
  }
  function step(by) {
    var links = Array.prototype.slice.call(document.querySelectorAll("table.rows tbody th a"));
    if (!links.length) return;
    var at = links.indexOf(document.activeElement);
    var next = links[Math.max(0, Math.min(links.length - 1, at < 0 ? 0 : at + by))];
    next.focus();
    next.scrollIntoView({ block: "nearest" });
  }
  document.addEventListener("keydown", function (event) {
    if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
    if (goes) {
      goes = false;
      var page = document.querySelector('nav a[data-key="' + CSS.escape(event.key) + '"]');
      if (page) { event.preventDefault(); page.click(); }
    } else if (event.key === "g") {
      goes = true;
    } else if (event.key === "/") {
      event.preventDefault();
      document.getElementById("q").focus();
    } else if (event.key === "j" || event.key === "k") {
      step(event.key === "j" ? 1 : -1);
    }
  });
  // A live part must not take the focus away from a link that it replaces.
  var held = null;
  document.addEventListener("htmx:beforeSwap", function () {
    var active = document.activeElement;
    held = active && active.getAttribute("href");
  });
  document.addEventListener("htmx:sseBeforeMessage", function () {
    var active = document.activeElement;
    held = active && active.getAttribute("href");
  });
  document.addEventListener("htmx:afterSettle", function () {
    if (!held || document.activeElement !== document.body) return;
    var again = document.querySelector('main a[href="' + CSS.escape(held) + '"]');
    if (again) again.focus();
  });
})();
