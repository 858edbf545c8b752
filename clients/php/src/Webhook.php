<?php

declare(strict_types=1);

namespace Sluice;

/** Checks that a notice comes from who has the secret: the Standard Webhooks specification, with its `v1` signatures. */
final class Webhook
{
    private const TOLERANCE_SECONDS = 300;

    /**
     * The notice, when it is genuine and not from long ago.
     *
     * @param string $body as it came, byte for byte
     * @param array<string, string|list<string>> $headers by name in any case, as `getallheaders()` or PSR-7 gives them
     * @param string|list<string> $secrets `whsec_…`; two while one is exchanged for another
     * @return array<string, mixed>
     * @throws AuthException for a notice that is not genuine
     */
    public static function verify(string $body, array $headers, $secrets, ?int $now = null): array
    {
        $found = [];
        foreach ($headers as $name => $value) {
            $found[strtolower((string) $name)] = is_array($value) ? (string) reset($value) : (string) $value;
        }
        $id = $found['webhook-id'] ?? '';
        $time = $found['webhook-timestamp'] ?? '';
        if ($id === '' || !preg_match('/^[0-9]{1,12}$/D', $time)) {
            throw new AuthException('The notice has no id or no time', 'NOT_GENUINE');
        }
        if (abs(($now ?? time()) - (int) $time) > self::TOLERANCE_SECONDS) {
            throw new AuthException('The notice is from another time; is the clock right?', 'NOT_GENUINE');
        }
        foreach ((array) $secrets as $secret) {
            $bytes = base64_decode(strncmp($secret, 'whsec_', 6) === 0 ? substr($secret, 6) : $secret, true);
            if ($bytes === false || $bytes === '') {
                throw new UsageException('A secret of webhooks is whsec_ and Base64.');
            }
            $expected = 'v1,' . base64_encode(hash_hmac('sha256', "$id.$time.$body", $bytes, true));
            foreach (explode(' ', $found['webhook-signature'] ?? '') as $signature) {
                if (hash_equals($expected, $signature)) {
                    $notice = json_decode($body, true);
                    if (!is_array($notice) || ltrim($body, " \t\r\n")[0] !== '{') {
                        throw new AuthException('The notice is no JSON object', 'NOT_GENUINE');
                    }
                    return $notice;
                }
            }
        }
        throw new AuthException('No signature of the notice is of this secret', 'NOT_GENUINE');
    }
}
