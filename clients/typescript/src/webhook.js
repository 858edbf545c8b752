import { createHmac, timingSafeEqual } from 'node:crypto';
import { AuthError, UsageError } from './errors.js';
import { objectIn } from './problem.js';

const TOLERANCE_SECONDS = 300;

/**
 * The notice, when it comes from who has the secret and is not from long ago: the Standard Webhooks specification, with
 * its `v1` signatures.
 *
 * @param {string | Uint8Array} body as it came, byte for byte
 * @param {Headers | Record<string, string | string[] | undefined>} headers as `fetch` or Node's HTTP server gives them
 * @param {string | string[]} secrets `whsec_…`; two while one is exchanged for another
 * @param {{ now?: number }} [clock] seconds since 1970
 * @returns {Record<string, any>}
 * @throws {AuthError} NOT_GENUINE
 */
export function verifyWebhook(body, headers, secrets, { now = Date.now() / 1000 } = {}) {
  const entries = headers instanceof Headers ? [...headers] : Object.entries(headers);
  const found = new Map(entries.map(([name, value]) => [name.toLowerCase(), String(value ?? '')]));
  const id = found.get('webhook-id') ?? '';
  const time = found.get('webhook-timestamp') ?? '';
  if (id === '' || !/^[0-9]{1,12}$/.test(time)) {
    throw new AuthError('The notice has no id or no time', 'NOT_GENUINE');
  }
  if (Math.abs(now - Number(time)) > TOLERANCE_SECONDS) {
    throw new AuthError('The notice is from another time; is the clock right?', 'NOT_GENUINE');
  }
  const signatures = (found.get('webhook-signature') ?? '').split(' ').map((one) => Buffer.from(one));
  for (const secret of [secrets].flat()) {
    const key = Buffer.from(secret.replace(/^whsec_/, ''), 'base64');
    if (key.length === 0) throw new UsageError('A secret of webhooks is whsec_ and Base64.');
    const signature = createHmac('sha256', key).update(`${id}.${time}.`).update(body).digest('base64');
    const expected = Buffer.from(`v1,${signature}`);
    if (signatures.some((one) => one.length === expected.length && timingSafeEqual(one, expected))) {
      const notice = objectIn(typeof body === 'string' ? body : Buffer.from(body).toString());
      if (notice === null) throw new AuthError('The notice is no JSON object', 'NOT_GENUINE');
      return notice;
    }
  }
  throw new AuthError('No signature of the notice is of this secret', 'NOT_GENUINE');
}
