/**
 * How loud a sound is, 0 to 1, on a scale that suits a meter: −60 dB and less is 0, full scale is 1.
 *
 * @param {Float32Array} samples −1 to 1.
 */
export function meterLevel(samples) {
  let sum = 0;
  for (const sample of samples) sum += sample * sample;
  const rms = Math.sqrt(sum / Math.max(1, samples.length));
  if (rms <= 0) return 0;
  return Math.min(1, Math.max(0, 1 + (20 * Math.log10(rms)) / 60));
}

/** Measures one audio track, without playing it. */
export class LevelMeter {
  /** @type {AudioContext | null} */
  #context = null;
  /** @type {MediaStreamAudioSourceNode | null} */
  #source = null;
  /** @type {AnalyserNode | null} */
  #analyser = null;
  #samples = new Float32Array(1024);
  #closed = new AbortController();

  /**
   * @param {MediaStreamTrack} track
   * @param {AudioContext | null} [context] One to share; otherwise the meter makes its own.
   */
  constructor(track, context = null) {
    const Context = globalThis.AudioContext;
    if (typeof Context !== "function") return;
    this.#context = context ?? new Context();
    this.#analyser = this.#context.createAnalyser();
    this.#analyser.fftSize = this.#samples.length;
    this.#source = this.#context.createMediaStreamSource(new MediaStream([track]));
    this.#source.connect(this.#analyser);
    this.#owned = context === null;
    // Browsers may hold audio back until the person has done something on the page.
    for (const gesture of ["pointerup", "keydown"]) {
      globalThis.addEventListener?.(gesture, () => void this.resume(), { signal: this.#closed.signal });
    }
  }

  #owned = false;

  /** The level right now, 0 to 1; 0 where the browser can't measure or hasn't been allowed to. */
  read() {
    if (!this.#analyser) return 0;
    this.#analyser.getFloatTimeDomainData(this.#samples);
    return meterLevel(this.#samples);
  }

  /** Whether the browser measures yet; if not, it does after a click or a key. */
  get running() {
    return this.#context?.state === "running";
  }

  /** Begins to measure, in a click or a key press where the browser demands one. */
  async resume() {
    if (this.#context?.state === "suspended") await this.#context.resume();
  }

  close() {
    this.#closed.abort();
    this.#source?.disconnect();
    if (this.#owned) void this.#context?.close();
    this.#context = this.#analyser = this.#source = null;
  }
}
