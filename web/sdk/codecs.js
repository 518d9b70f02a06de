/**
 * Puts the wanted codec first and leaves the order of the others alone.
 *
 * Repair formats (rtx, red, ulpfec) stay in the list: without them nothing is sent again.
 *
 * @template {{ mimeType: string }} Codec
 * @param {Codec[]} codecs
 * @param {string} wanted Such as `vp9` or `h264`.
 * @returns {Codec[]} Unchanged when the wanted codec is not there.
 */
export function preferCodec(codecs, wanted) {
  const name = wanted.toLowerCase();
  const isWanted = (/** @type {Codec} */ codec) => codec.mimeType.toLowerCase().split("/")[1] === name;
  return [...codecs.filter(isWanted), ...codecs.filter((codec) => !isWanted(codec))];
}

/**
 * Applies a preference to a video transceiver, where the browser can.
 *
 * @param {RTCRtpTransceiver} transceiver
 * @param {string} wanted
 */
export function applyCodecPreference(transceiver, wanted) {
  if (typeof transceiver.setCodecPreferences !== "function") return;
  const sends = transceiver.direction === "sendonly";
  const lists = [
    sends ? RTCRtpSender.getCapabilities?.("video") : null,
    RTCRtpReceiver.getCapabilities?.("video"),
  ];
  for (const capabilities of lists) {
    if (!capabilities) continue;
    try {
      transceiver.setCodecPreferences(preferCodec(capabilities.codecs, wanted));
      return;
    } catch {
      // Browsers differ in which of the two lists they accept.
    }
  }
}
