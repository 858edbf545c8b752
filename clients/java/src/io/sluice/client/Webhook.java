package io.sluice.client;

import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import java.time.Instant;
import java.util.Base64;
import java.util.Iterator;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

/** Checks that a notice comes from who has the secret: the Standard Webhooks specification, its {@code v1} signatures. */
public final class Webhook {
    private static final long TOLERANCE_SECONDS = 300;

    private Webhook() {
    }

    /**
     * The notice, when it is genuine and not from long ago.
     *
     * @param body as it came, byte for byte
     * @param headers by name in any case; a value is a text or a list of them, as in {@code HttpHeaders.map()}
     * @param secrets {@code whsec_…}; two while one is exchanged for another
     * @throws AuthException NOT_GENUINE
     */
    public static Map<String, Object> verify(byte[] body, Map<String, ?> headers, String... secrets) {
        return verify(body, headers, Instant.now(), secrets);
    }

    static Map<String, Object> verify(byte[] body, Map<String, ?> headers, Instant now, String... secrets) {
        Map<String, String> found = new TreeMap<>();
        headers.forEach((name, value) -> found.put(String.valueOf(name).toLowerCase(Locale.ROOT), textOf(value)));
        String id = found.getOrDefault("webhook-id", "");
        String time = found.getOrDefault("webhook-timestamp", "");
        if (id.isEmpty() || !time.matches("[0-9]{1,12}")) {
            throw notGenuine("The notice has no id or no time");
        }
        if (Math.abs(now.getEpochSecond() - Long.parseLong(time)) > TOLERANCE_SECONDS) {
            throw notGenuine("The notice is from another time; is the clock right?");
        }
        String[] signatures = found.getOrDefault("webhook-signature", "").split(" ");
        for (String secret : secrets) {
            byte[] expected = ("v1," + signature(keyOf(secret), id + "." + time + ".", body)).getBytes(
                    StandardCharsets.UTF_8);
            for (String one : signatures) {
                if (MessageDigest.isEqual(expected, one.getBytes(StandardCharsets.UTF_8))) { // in constant time
                    return noticeIn(body);
                }
            }
        }
        throw notGenuine("No signature of the notice is of this secret");
    }

    private static Map<String, Object> noticeIn(byte[] body) {
        Map<String, Object> notice = Json.objectIn(new String(body, StandardCharsets.UTF_8));
        if (notice == null) {
            throw notGenuine("The notice is no JSON object");
        }
        return notice;
    }

    private static byte[] keyOf(String secret) {
        try {
            byte[] key = Base64.getDecoder().decode(secret.replaceFirst("^whsec_", ""));
            if (key.length > 0) {
                return key;
            }
        } catch (IllegalArgumentException error) {
            // as said below
        }
        throw new UsageException("A secret of webhooks is whsec_ and Base64.");
    }

    private static String signature(byte[] key, String head, byte[] body) {
        try {
            Mac mac = Mac.getInstance("HmacSHA256");
            mac.init(new SecretKeySpec(key, "HmacSHA256"));
            mac.update(head.getBytes(StandardCharsets.UTF_8));
            return Base64.getEncoder().encodeToString(mac.doFinal(body));
        } catch (GeneralSecurityException error) {
            throw new IllegalStateException(error); // every Java has it
        }
    }

    private static String textOf(Object value) {
        if (value instanceof Iterable<?> several) {
            Iterator<?> each = several.iterator();
            return each.hasNext() ? String.valueOf(each.next()) : "";
        }
        return String.valueOf(value);
    }

    private static AuthException notGenuine(String detail) {
        return new AuthException(detail, "NOT_GENUINE", Known.NOTHING);
    }
}
