// Runs before the page's modules and tells when one of them could not be loaded, as happens when the network changes
// meanwhile: the browser gives up then and shows nothing at all. No module itself, and no syntax old browsers can't read.
(function () {
  var KEY = "witness.reloads";
  /** Waits before the page loads itself again, one for each time in a row; then it is up to the person. */
  var WAITS_MS = [500, 3000, 10000];
  var SLOW_MS = 10000;
  var TEXTS = {
    slow: ["网络较慢，页面仍在加载…", "The network is slow. Still loading…"],
    again: ["页面没有加载完整，正在重新加载…", "Part of this page didn't load. Loading it again…"],
    failed: ["页面没有加载完整，请检查网络后重试", "Part of this page didn't load. Check the network and try again."],
    broken: ["页面无法启动，请重试或更新浏览器", "This page can't start. Try again or update your browser."],
  };
  var missing = false;
  var timer = 0;

  /** The modules set it with the first thing they show. */
  function started() {
    return document.documentElement.hasAttribute("data-view");
  }

  /** @returns {number} Loads in a row that failed; as good as too many where nothing can be stored. */
  function reloads() {
    try {
      return Number(sessionStorage.getItem(KEY)) || 0;
    } catch (error) {
      return WAITS_MS.length;
    }
  }

  /** @param {number} count */
  function remember(count) {
    try {
      if (count > 0) sessionStorage.setItem(KEY, String(count));
      else sessionStorage.removeItem(KEY);
    } catch (error) {
      // Then the page does not load itself again.
    }
  }

  function again() {
    clearTimeout(timer);
    // The address is kept as it is: the token in it is still needed.
    location.reload();
  }

  /** @param {keyof typeof TEXTS} what */
  function tell(what) {
    var place = document.getElementById("app");
    if (!place || started()) return;
    var card = document.createElement("main");
    card.className = "card";
    card.setAttribute("role", "alert");
    card.setAttribute("data-start", what);
    TEXTS[what].forEach(function (text, index) {
      var line = document.createElement("p");
      line.lang = index === 0 ? "zh-CN" : "en";
      line.className = index === 0 ? "card-title" : "";
      line.textContent = text;
      card.appendChild(line);
    });
    var button = document.createElement("button");
    button.type = "button";
    button.className = "primary";
    button.textContent = "重新加载 · Load again";
    button.addEventListener("click", function () {
      remember(0);
      again();
    });
    card.appendChild(button);
    place.textContent = "";
    place.appendChild(card);
  }

  /** After everything was loaded or given up. */
  function judge() {
    if (started()) {
      remember(0);
      return;
    }
    var count = reloads();
    var wait = missing ? WAITS_MS[count] : undefined;
    if (wait === undefined) {
      tell(missing ? "failed" : "broken");
      window.addEventListener("online", again);
      return;
    }
    remember(count + 1);
    tell("again");
    timer = window.setTimeout(again, wait);
  }

  /** @param {HTMLLinkElement} link A style sheet: fetched again by itself, because the page may run by now. */
  function fetchAgain(link) {
    var tries = Number(link.getAttribute("data-tries")) || 0;
    var wait = WAITS_MS[tries];
    if (wait === undefined) return;
    window.setTimeout(function () {
      var copy = /** @type {HTMLLinkElement} */ (link.cloneNode());
      copy.setAttribute("data-tries", String(tries + 1));
      if (link.parentNode) link.parentNode.replaceChild(copy, link);
    }, wait);
  }

  // Failures of elements don't bubble, but are seen on their way down. A module's script fails with any of its imports.
  window.addEventListener("error", function (event) {
    var from = event.target;
    if (from instanceof HTMLScriptElement) missing = true;
    else if (from instanceof HTMLLinkElement && from.rel === "stylesheet") fetchAgain(from);
  }, true);
  window.addEventListener("load", function () {
    clearTimeout(timer);
    judge();
  });
  timer = window.setTimeout(function () {
    tell("slow");
  }, SLOW_MS);
})();
