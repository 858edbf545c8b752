import { createHash } from 'node:crypto';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';

const packed = promisify(gzip);
/** Smaller ones hardly become shorter. */
const PACKED_BYTES_MIN = 1024;

/**
 * The body of a batch and its headers: packed or not, with the checksum of what is sent.
 *
 * @param {string} json
 * @param {boolean} packs
 * @returns {Promise<{ body: BodyInit, headers: Record<string, string>, bytes: number }>} bytes: before it was packed
 */
export async function bodyOf(json, packs) {
  const plain = Buffer.from(json);
  const isPacked = packs && plain.length >= PACKED_BYTES_MIN;
  const body = isPacked ? await packed(plain, { level: 1 }) : plain;
  /** @type {Record<string, string>} */
  const headers = {
    'Content-Type': 'application/json',
    'X-Content-SHA256': createHash('sha256').update(body).digest('hex'),
  };
  if (isPacked) headers['Content-Encoding'] = 'gzip';
  // The types of Node 18 know no body of bytes.
  return { body: /** @type {any} */ (body), headers, bytes: plain.length };
}
