/**
 * Lets missing packets of Opus be asked for, in both directions: browsers can, and don't offer it.
 *
 * Spec: RFC 4585, section 4.2.
 *
 * @param {string} sdp An offer as the browser made it.
 * @returns {string} With `a=rtcp-fb:<Opus> nack` wherever it was missing; else unchanged.
 */
export function withAudioNack(sdp) {
  const sections = sdp.split(/^(?=m=)/m);
  return sections.map((section) => (section.startsWith("m=audio ") ? addNack(section) : section)).join("");
}

/**
 * Keeps a browser's estimate of its way up above a rate; Chromium knows the parameter, others pass over it.
 *
 * @param {string} sdp An answer.
 * @param {number | null} bps Null: the answer as it is.
 * @returns {string} With `x-google-min-bitrate` for every codec of the video lines the other side receives.
 */
export function withVideoFloor(sdp, bps) {
  if (bps === null) return sdp;
  const parameter = `x-google-min-bitrate=${Math.round(bps / 1000)}`;
  const sections = sdp.split(/^(?=m=)/m);
  return sections.map((section) => (section.startsWith("m=video ") ? addParameter(section, parameter) : section)).join("");
}

/**
 * @param {string} section
 * @param {string} parameter
 */
function addParameter(section, parameter) {
  if (!/^a=(recvonly|sendrecv)\s*$/m.test(section)) return section;
  return section.replace(/^a=rtpmap:(\d{1,3}) (?!rtx\/)\S+(\r?\n)/gim, (line, payloadType, end) => {
    const there = new RegExp(`^a=fmtp:${payloadType} `, "m").test(section);
    return there ? line : `${line}a=fmtp:${payloadType} ${parameter}${end}`;
  }).replace(/^a=fmtp:(\d{1,3}) (.*?)(\r?\n)/gim, (line, payloadType, given, end) => {
    const isMade = given === parameter || given.startsWith("apt=");
    return isMade ? line : `a=fmtp:${payloadType} ${given};${parameter}${end}`;
  });
}

/** @param {string} section */
function addNack(section) {
  return section.replace(/^a=rtpmap:(\d{1,3}) opus\/48000\/2(\r?\n)/gim, (line, payloadType, end) => {
    const there = new RegExp(`^a=rtcp-fb:(?:${payloadType}|\\*) nack\\s*$`, "m").test(section);
    return there ? line : `${line}a=rtcp-fb:${payloadType} nack${end}`;
  });
}
