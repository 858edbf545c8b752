package io.sluice.client;

import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Map;

/** JSON as it grows, in bytes of UTF-8. */
final class JsonBytes {
    private static final byte[] DIGITS = "0123456789abcdef".getBytes(StandardCharsets.US_ASCII);
    private static final String SHORT = "\"\\\b\f\n\r\t";
    private static final String LETTERS = "\"\\bfnrt";

    private byte[] bytes = new byte[4096];
    private int length;

    int length() {
        return length;
    }

    void reset(int size) {
        length = size;
    }

    byte[] copy() {
        return Arrays.copyOf(bytes, length);
    }

    @Override
    public String toString() {
        return new String(bytes, 0, length, StandardCharsets.UTF_8);
    }

    JsonBytes ascii(char one) {
        room(1);
        bytes[length++] = (byte) one;
        return this;
    }

    JsonBytes ascii(String text) {
        room(text.length());
        for (int place = 0; place < text.length(); place++) {
            bytes[length++] = (byte) text.charAt(place);
        }
        return this;
    }

    /**
     * A text in quotes.
     *
     * @return whether it is Unicode; a surrogate without its other half became U+FFFD where not
     */
    boolean text(CharSequence text) {
        boolean isUnicode = true;
        ascii('"');
        for (int place = 0; place < text.length(); place++) {
            char one = text.charAt(place);
            room(6);
            if (one < 0x80) {
                escaped(one);
            } else if (one < 0x800) {
                bytes[length++] = (byte) (0xc0 | one >> 6);
                last(one);
            } else if (!Character.isSurrogate(one)) {
                three(one);
            } else if (isPair(text, place)) {
                int whole = Character.toCodePoint(one, text.charAt(++place));
                bytes[length++] = (byte) (0xf0 | whole >> 18);
                last(whole >> 12);
                last(whole >> 6);
                last(whole);
            } else {
                isUnicode = false;
                three('\ufffd');
            }
        }
        ascii('"');
        return isUnicode;
    }

    /** What the client itself says: maps, lists, texts, booleans and numbers. */
    JsonBytes any(Object value) {
        if (value instanceof CharSequence text) {
            text(text);
        } else if (value instanceof Map<?, ?> map) {
            char before = '{';
            for (Map.Entry<?, ?> entry : map.entrySet()) {
                ascii(before).text(String.valueOf(entry.getKey()));
                ascii(':').any(entry.getValue());
                before = ',';
            }
            ascii(map.isEmpty() ? "{}" : "}");
        } else if (value instanceof Iterable<?> list) {
            char before = '[';
            for (Object one : list) {
                ascii(before).any(one);
                before = ',';
            }
            ascii(before == '[' ? "[]" : "]");
        } else if (value == null || value instanceof Boolean || value instanceof Number) {
            ascii(String.valueOf(value));
        } else {
            throw new UsageException("An option is a text, a number, a boolean, a list or a map, not of "
                    + value.getClass().getName() + ".");
        }
        return this;
    }

    private void escaped(char one) {
        int known = SHORT.indexOf(one);
        if (known >= 0) {
            bytes[length++] = '\\';
            bytes[length++] = (byte) LETTERS.charAt(known);
        } else if (one < 0x20) {
            ascii("\\u00").ascii((char) DIGITS[one >> 4]).ascii((char) DIGITS[one & 15]);
        } else {
            bytes[length++] = (byte) one;
        }
    }

    private void three(char one) {
        bytes[length++] = (byte) (0xe0 | one >> 12);
        last(one >> 6);
        last(one);
    }

    private void last(int bits) {
        bytes[length++] = (byte) (0x80 | bits & 0x3f);
    }

    private static boolean isPair(CharSequence text, int place) {
        return Character.isHighSurrogate(text.charAt(place)) && place + 1 < text.length()
                && Character.isLowSurrogate(text.charAt(place + 1));
    }

    private void room(int more) {
        if (length + more > bytes.length) {
            bytes = Arrays.copyOf(bytes, Math.max(2 * bytes.length, length + more));
        }
    }
}
