import { WitnessError } from "/sdk/errors.js";

/**
 * Asks the server of a demonstration for a token; other servers have none to give.
 *
 * @param {{ room: string, role: import("/sdk/protocol.js").Role, name: string }} who
 * @returns {Promise<string>}
 * @throws {WitnessError} `unauthorized`, `connection_lost`, or what the server answers.
 */
export async function fetchDemoToken(who) {
  let response;
  try {
    response = await fetch("/v1/demo/tokens", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(who),
    });
  } catch (cause) {
    throw new WitnessError("connection_lost", "no answer", { cause });
  }
  const body = await response.json().catch(() => ({}));
  if (response.ok && typeof body.token === "string") return body.token;
  if (response.status === 403 || response.status === 404) throw new WitnessError("unauthorized", "no demo tokens here");
  throw new WitnessError(typeof body.code === "string" ? body.code : "internal", `status ${response.status}`);
}
