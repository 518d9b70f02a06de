/**
 * How long received media are held back, so that copies of lost frames arrive before they are due.
 *
 * More at once, less in steps: sound that is played faster for a moment is noticed less than a piece that is cut out.
 */

/** The part of `RTCRtpReceiver` that is used. @typedef {{ jitterBufferTarget?: number | null, playoutDelayHint?: number | null }} ReceiverLike */

export class PlayoutTargets {
  /** Given back at a time. */
  static STEP_MS = 40;
  static EVERY_MS = 1000;
  /** What browsers take at most. */
  static MAX_MS = 4000;

  /** @type {WeakMap<object, { targetMs: number, loweredAt: number }>} */
  #held = new WeakMap();

  /**
   * @param {ReceiverLike} receiver
   * @param {number} wantedMs 0: as the browser likes.
   * @param {number} nowMs
   * @returns {number} What holds now; to be called again, once a second, while it differs from what is wanted.
   */
  apply(receiver, wantedMs, nowMs) {
    const wanted = Math.min(PlayoutTargets.MAX_MS, Math.max(0, Math.round(wantedMs) || 0));
    const held = this.#held.get(receiver) ?? { targetMs: 0, loweredAt: -Infinity };
    if (wanted === held.targetMs) return wanted;
    if (wanted < held.targetMs && nowMs - held.loweredAt < PlayoutTargets.EVERY_MS) return held.targetMs;
    const targetMs = Math.max(wanted, held.targetMs - PlayoutTargets.STEP_MS);
    this.#held.set(receiver, { targetMs, loweredAt: nowMs });
    setTarget(receiver, targetMs);
    return targetMs;
  }

  /** @param {ReceiverLike} receiver */
  of(receiver) {
    return this.#held.get(receiver)?.targetMs ?? 0;
  }
}

/**
 * @param {ReceiverLike} receiver
 * @param {number} targetMs
 */
function setTarget(receiver, targetMs) {
  try {
    if ("jitterBufferTarget" in receiver) receiver.jitterBufferTarget = targetMs || null;
    else if ("playoutDelayHint" in receiver) receiver.playoutDelayHint = targetMs ? targetMs / 1000 : null;
  } catch {
    // A browser that takes less than it should goes on as it likes.
  }
}
