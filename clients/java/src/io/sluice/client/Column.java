package io.sluice.client;

import java.util.LinkedHashMap;
import java.util.Map;

/**
 * A column: its name, its type, and how its cells look. {@code Column.number("amount").format("#,##0.00").width(14)}.
 */
public final class Column {
    private final Map<String, Object> members;

    private Column(Map<String, Object> members) {
        this.members = members;
    }

    public static Column string(String name) {
        return typed(name, "string");
    }

    public static Column number(String name) {
        return typed(name, "number");
    }

    public static Column date(String name) {
        return typed(name, "date");
    }

    public static Column datetime(String name) {
        return typed(name, "datetime");
    }

    public static Column bool(String name) {
        return typed(name, "boolean");
    }

    /** Of a type by its name: string, number, date, datetime or boolean. */
    public static Column of(String name, String type) {
        if (!java.util.Set.of("string", "number", "date", "datetime", "boolean").contains(type)) {
            throw new UsageException("Column " + name + ": \"" + type
                    + "\" is no type; there are string, number, date, datetime, boolean.");
        }
        return typed(name, type);
    }

    /**
     * The same column with a format of spreadsheets, such as {@code #,##0.00}; of booleans their words, such as {@code
     * yes/no}.
     */
    public Column format(String format) {
        return with("format", format);
    }

    /** The same column, so many characters wide. */
    public Column width(int characters) {
        return with("width", characters);
    }

    String name() {
        return (String) members.get("name");
    }

    /** As the API takes it. */
    Map<String, Object> members() {
        return members;
    }

    private Column with(String name, Object value) {
        Map<String, Object> more = new LinkedHashMap<>(members);
        more.put(name, value);
        return new Column(more);
    }

    private static Column typed(String name, String type) {
        if (name == null) {
            throw new UsageException("A column has a name.");
        }
        Map<String, Object> members = new LinkedHashMap<>();
        members.put("name", name);
        members.put("type", type);
        return new Column(members);
    }
}
