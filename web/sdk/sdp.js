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

/** @param {string} section */
function addNack(section) {
  return section.replace(/^a=rtpmap:(\d{1,3}) opus\/48000\/2(\r?\n)/gim, (line, payloadType, end) => {
    const there = new RegExp(`^a=rtcp-fb:(?:${payloadType}|\\*) nack\\s*$`, "m").test(section);
    return there ? line : `${line}a=rtcp-fb:${payloadType} nack${end}`;
  });
}
