/** Languages, and what errors mean to the people in a call. */

/** @typedef {"zh-CN" | "en"} Language */
/** @typedef {{ title: string, advice: string }} Explanation */

/**
 * @param {readonly string[]} preferred Tags such as `zh-Hans-CN`, best first (`navigator.languages`).
 * @returns {Language} English when neither is asked for.
 */
export function pickLanguage(preferred) {
  for (const tag of preferred) {
    const base = tag.toLowerCase().split("-")[0];
    if (base === "zh") return "zh-CN";
    if (base === "en") return "en";
  }
  return "en";
}

/**
 * What happened and what to do, per code: Chinese title, advice, English title, advice.
 *
 * @type {Record<string, [string, string, string, string]>}
 */
const EXPLANATIONS = {
  connection_lost: [
    "无法连接服务器", "请检查网络连接，然后重试。如果其他网页可以打开，请联系客户经理。",
    "The server can't be reached", "Check your network connection and try again. If other sites work, contact the bank.",
  ],
  timeout: ["服务器没有及时响应", "网络可能较慢，请稍候重试。", "No answer in time", "The network may be slow. Try again."],
  insecure_context: [
    "此页面的连接不安全", "浏览器只允许在 https 页面使用摄像头和麦克风。请使用银行发送给您的 https 链接。",
    "This page isn't on a secure connection",
    "Browsers allow cameras and microphones on https pages only. Use the https link the bank sent you.",
  ],
  not_supported: [
    "此浏览器不支持视频通话", "请更新浏览器，或使用最新版 Chrome、Edge、Firefox 或 Safari。",
    "This browser can't make video calls", "Update it, or use a current Chrome, Edge, Firefox or Safari.",
  ],
  device_denied: [
    "没有使用权限", "请点击地址栏旁的图标，允许使用摄像头和麦克风，然后重试。",
    "Permission was not given",
    "Select the icon beside the address bar, allow the camera and the microphone, then try again.",
  ],
  device_missing: [
    "找不到设备", "请检查摄像头或麦克风是否已连接，然后重试。",
    "No such device was found", "Check that the camera or microphone is connected, then try again.",
  ],
  device_busy: [
    "设备正被其他程序使用", "请关闭其他正在使用摄像头或麦克风的程序，然后重试。",
    "Another program is using the device", "Close other programs that use the camera or microphone, then try again.",
  ],
  device_lost: [
    "设备已断开", "请重新连接设备，或选择其他设备。",
    "The device was disconnected", "Connect it again or choose another one.",
  ],
  device_failed: [
    "设备无法启动", "请重新连接设备或重新启动浏览器。",
    "The device couldn't be started", "Reconnect it or restart the browser.",
  ],
  screen_denied: ["未共享屏幕", "您取消了屏幕共享。", "The screen isn't shared", "Sharing was cancelled."],
  media_failed: [
    "音视频无法接通", "网络可能限制了通话。请换一个网络（例如手机网络）后重试。",
    "Sound and pictures can't get through", "The network may block calls. Try another one, such as a mobile network.",
  ],
  left: ["您已离开通话", "您可以关闭此页面。", "You left the call", "You can close this page."],
  removed: ["您已被移出通话", "如有疑问，请联系客户经理。", "You were removed from the call", "Contact the bank if this is unexpected."],
  closed: ["通话已结束", "您可以关闭此页面。", "The call is over", "You can close this page."],
  queue_full: ["操作过多", "连接恢复后请重试。", "Too many things are waiting", "Try again when the connection is back."],
  unauthorized: [
    "身份验证失败", "链接可能无效。请联系客户经理获取新的链接。",
    "You couldn't be identified", "The link may be invalid. Ask the bank for a new one.",
  ],
  token_expired: [
    "链接已过期", "为保障安全，链接的有效时间有限。请联系客户经理获取新的链接。",
    "The link has expired", "Links are valid for a limited time, for your safety. Ask the bank for a new one.",
  ],
  forbidden: ["没有权限", "您的角色不能进行此操作。", "Not permitted", "Your role doesn't allow this."],
  room_full: ["房间人数已满", "请联系客户经理。", "The room is full", "Contact the bank."],
  server_full: ["服务器繁忙", "请稍后重试。", "The server is busy", "Try again in a moment."],
  room_closed: ["房间已关闭", "本次通话已经结束。", "The room was closed", "This call has ended."],
  duplicate_participant: [
    "您正在加入", "请稍候一秒后重试。", "You are being admitted already", "Try again in a second.",
  ],
  resume_superseded: [
    "已在其他页面加入", "此通话已在另一个页面或设备中打开，请在那里继续。",
    "The call continues elsewhere", "It was opened in another page or device. Go on there.",
  ],
  resume_unknown: [
    "无法恢复通话", "离开时间过长。请重新加入。",
    "The call can't be resumed", "You were away too long. Join again.",
  ],
  draining: ["服务器正在维护", "请稍后重新加入。", "The server is under maintenance", "Join again later."],
  busy: ["服务器繁忙", "请稍后重试。", "The server is busy", "Try again in a moment."],
  rate_limited: ["操作过于频繁", "请稍候再试。", "Too many actions at once", "Wait a moment and try again."],
  slow_consumer: ["网络太慢", "请换一个网络后重新加入。", "The network is too slow", "Join again from another network."],
  too_large: ["消息过长", "请缩短后再发送。", "The message is too long", "Shorten it and send it again."],
  bad_sdp: ["音视频协商失败", "请刷新页面后重试。", "Media couldn't be set up", "Reload the page and try again."],
  no_common_codec: [
    "没有共同支持的音视频格式", "请更新浏览器后重试。",
    "No common audio or video format", "Update the browser and try again.",
  ],
  unknown_track: ["该音视频已停止", "无需操作。", "That sound or picture has ended", "Nothing needs to be done."],
  unknown_participant: ["对方已离开", "无需操作。", "That person has left", "Nothing needs to be done."],
  unknown_request: ["请求已失效", "无需操作。", "The request has lapsed", "Nothing needs to be done."],
  unsupported_version: ["页面版本过旧", "请刷新页面。", "This page is out of date", "Reload it."],
};

/** Faults of a program, which people can't do anything about. @type {[string, string, string, string]} */
const FAULT = [
  "发生内部错误", "请刷新页面后重试。如问题仍然存在，请提供代码：",
  "Something went wrong", "Reload the page and try again. If it happens again, tell the bank this code: ",
];

/**
 * Explains an error code to a person.
 *
 * @param {string} code
 * @param {Language} language
 * @returns {Explanation}
 */
export function describeError(code, language) {
  const known = EXPLANATIONS[code];
  const [zhTitle, zhAdvice, enTitle, enAdvice] = known ?? FAULT;
  const suffix = known ? "" : code;
  if (language === "zh-CN") return { title: zhTitle, advice: zhAdvice + suffix };
  return { title: enTitle, advice: enAdvice + suffix };
}
