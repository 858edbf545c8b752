package io.sluice.client;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Reads JSON: objects are maps in their order, whole numbers are {@code Long}, others {@code Double}. */
final class Json {
    private static final int DEPTH_MAX = 100;

    private final String text;
    private int at;

    private Json(String text) {
        this.text = text;
    }

    /** @throws IllegalArgumentException for what is no JSON */
    static Object parse(String text) {
        Json json = new Json(text);
        Object value = json.value(0);
        json.blank();
        if (json.at < text.length()) {
            throw json.wrong();
        }
        return value;
    }

    /** The JSON object that a text is; null where it is none. */
    @SuppressWarnings("unchecked")
    static Map<String, Object> objectIn(String text) {
        try {
            return parse(text) instanceof Map<?, ?> object ? (Map<String, Object>) object : null;
        } catch (IllegalArgumentException error) {
            return null;
        }
    }

    private Object value(int depth) {
        blank();
        if (depth > DEPTH_MAX || at >= text.length()) {
            throw wrong();
        }
        switch (text.charAt(at)) {
            case '{':
                return object(depth);
            case '[':
                return list(depth);
            case '"':
                return string();
            case 't':
                return word("true", true);
            case 'f':
                return word("false", false);
            case 'n':
                return word("null", null);
            default:
                return number();
        }
    }

    private Map<String, Object> object(int depth) {
        Map<String, Object> object = new LinkedHashMap<>();
        at++;
        if (!next('}')) {
            do {
                blank();
                String name = string();
                if (!next(':')) {
                    throw wrong();
                }
                object.put(name, value(depth + 1));
            } while (next(','));
            if (!next('}')) {
                throw wrong();
            }
        }
        return object;
    }

    private List<Object> list(int depth) {
        List<Object> list = new ArrayList<>();
        at++;
        if (!next(']')) {
            do {
                list.add(value(depth + 1));
            } while (next(','));
            if (!next(']')) {
                throw wrong();
            }
        }
        return list;
    }

    private String string() {
        if (at >= text.length() || text.charAt(at) != '"') {
            throw wrong();
        }
        StringBuilder string = new StringBuilder();
        for (at++; at < text.length(); at++) {
            char one = text.charAt(at);
            if (one == '"') {
                at++;
                return string.toString();
            }
            string.append(one == '\\' ? escaped() : one);
        }
        throw wrong();
    }

    private char escaped() {
        if (++at >= text.length()) {
            throw wrong();
        }
        char one = text.charAt(at);
        if (one == 'u') {
            if (at + 4 >= text.length()) {
                throw wrong();
            }
            at += 4;
            return (char) Integer.parseInt(text.substring(at - 3, at + 1), 16);
        }
        int known = "\"\\/bfnrt".indexOf(one);
        if (known < 0) {
            throw wrong();
        }
        return "\"\\/\b\f\n\r\t".charAt(known);
    }

    private Object number() {
        int from = at;
        while (at < text.length() && "+-.eE0123456789".indexOf(text.charAt(at)) >= 0) {
            at++;
        }
        String digits = text.substring(from, at);
        try {
            return Long.valueOf(digits);
        } catch (NumberFormatException error) {
            return Double.valueOf(digits); // throws the same for what is no number
        }
    }

    private Object word(String word, Object value) {
        if (!text.startsWith(word, at)) {
            throw wrong();
        }
        at += word.length();
        return value;
    }

    private boolean next(char wanted) {
        blank();
        boolean found = at < text.length() && text.charAt(at) == wanted;
        at += found ? 1 : 0;
        return found;
    }

    private void blank() {
        while (at < text.length() && " \t\r\n".indexOf(text.charAt(at)) >= 0) {
            at++;
        }
    }

    private IllegalArgumentException wrong() {
        return new IllegalArgumentException("no JSON at character " + at);
    }
}
