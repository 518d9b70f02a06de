// For browsers without ES modules: no syntax they can't read.
var place = document.getElementById("app");
if (place) {
  document.documentElement.setAttribute("data-view", "problem");
  place.textContent =
    "此浏览器过旧，无法进行视频通话，请更新浏览器。 This browser is too old for video calls. Please update it.";
}
