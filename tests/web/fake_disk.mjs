import { createHash } from "node:crypto";

/** Storage in memory that may refuse, or never answer. */
export class FakeDisk {
  kept = new Map();
  full = false;
  silent = false;
  broken = false;
  known = new Map();
  async put(facts, body) {
    if (this.silent) await new Promise(() => {});
    if (this.full) throw new Error("QuotaExceededError");
    this.kept.set(`${facts.session}/${facts.track}/${facts.seq}`, { facts, body: body.slice() });
  }
  async get(facts) {
    return this.kept.get(`${facts.session}/${facts.track}/${facts.seq}`)?.body ?? null;
  }
  async remove(list) {
    for (const facts of list) this.kept.delete(`${facts.session}/${facts.track}/${facts.seq}`);
  }
  async all() {
    if (this.broken) throw new Error("InvalidStateError");
    return [...this.kept.values()].map(({ facts }) => facts);
  }
  async remember(session) {
    this.known.set(session.session, session);
  }
  async forget(session) {
    this.known.delete(session);
  }
  async sessions() {
    return [...this.known.values()];
  }
}

export function factsOf(seq, body, more = {}) {
  const sha256 = createHash("sha256").update(body).digest("hex");
  return { session: "s", track: "t", seq, ssrc: 5, codec: "opus", first_ts: seq, last_ts: seq, frames: 1, bytes: body.length, sha256, ...more };
}
