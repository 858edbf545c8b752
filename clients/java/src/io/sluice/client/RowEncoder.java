package io.sluice.client;

import java.math.BigDecimal;
import java.math.BigInteger;
import java.sql.Time;
import java.time.Instant;
import java.time.LocalDate;
import java.time.LocalDateTime;
import java.time.LocalTime;
import java.time.OffsetDateTime;
import java.time.OffsetTime;
import java.time.ZoneOffset;
import java.time.ZonedDateTime;
import java.time.format.DateTimeFormatter;
import java.util.Arrays;
import java.util.Date;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.UUID;

/**
 * Rows of one table as JSON. What cannot be a cell is refused before it is sent, with its row and column.
 */
final class RowEncoder {
    /** Whole numbers below this are written as such: every double of that size is exact, and has no exponent. */
    private static final double WHOLE_MAX = 1e15;

    private final List<String> names;
    private final String sheet;
    private final boolean substitutes;

    /**
     * @param names of the columns; empty where only the service knows them
     * @param substitutes whether U+FFFD takes the place of what is not Unicode
     */
    RowEncoder(List<String> names, String sheet, boolean substitutes) {
        this.names = names;
        this.sheet = sheet;
        this.substitutes = substitutes;
    }

    /**
     * One row as JSON: a list by place, or an object by the column's name.
     *
     * @param number of the row in its table, from 1, for errors
     */
    void encode(Object row, long number, JsonBytes to) {
        if (row instanceof Map<?, ?> cells) {
            byName(cells, number, to);
        } else if (row instanceof Object[] cells) {
            byPlace(Arrays.asList(cells), number, to);
        } else if (row instanceof Iterable<?> cells && !(row instanceof java.nio.file.Path)) {
            byPlace(cells, number, to);
        } else {
            throw new InvalidRowException("A row is a list or an array of cells, or a map by column name, not "
                    + kindOf(row), "INVALID_REQUEST", Known.at(placeOf(number)));
        }
    }

    private void byPlace(Iterable<?> cells, long number, JsonBytes to) {
        int place = 0;
        to.ascii('[');
        for (Object cell : cells) {
            if (place > 0) {
                to.ascii(',');
            }
            cell(cell, place, null, number, to);
            place++;
        }
        to.ascii(']');
    }

    private void byName(Map<?, ?> cells, long number, JsonBytes to) {
        char before = '{';
        for (Map.Entry<?, ?> entry : cells.entrySet()) {
            if (!(entry.getKey() instanceof String name)) {
                throw new InvalidRowException("The names of a row's cells are texts, not " + kindOf(entry.getKey()),
                        "INVALID_REQUEST", Known.at(placeOf(number)));
            }
            if (!to.ascii(before).text(name)) {
                throw new InvalidRowException("A name of a cell is not Unicode", "INVALID_TEXT",
                        Known.at(placeOf(number)));
            }
            cell(entry.getValue(), 0, name, number, to.ascii(':'));
            before = ',';
        }
        to.ascii(before == '{' ? "{}" : "}");
    }

    private void cell(Object cell, int place, String name, long number, JsonBytes to) {
        if (cell == null || cell instanceof Boolean || cell instanceof Long || cell instanceof Integer
                || cell instanceof Short || cell instanceof Byte || cell instanceof BigInteger
                        || cell instanceof BigDecimal) {
            to.ascii(String.valueOf(cell));
        } else if (cell instanceof Double || cell instanceof Float) {
            decimal((Number) cell, place, name, number, to);
        } else {
            String text = textOf(cell);
            if (text == null) {
                throw refused("INVALID_VALUE", "A cell cannot hold " + kindOf(cell), place, name, number);
            }
            if (!to.text(text) && !substitutes) {
                throw refused("INVALID_TEXT", "The text is not Unicode (a surrogate without its other half); "
                        + "mend it, or set substitute(true)", place, name, number);
            }
        }
    }

    private void decimal(Number cell, int place, String name, long number, JsonBytes to) {
        double value = cell.doubleValue();
        if (!Double.isFinite(value)) {
            throw refused("INVALID_VALUE", "A cell cannot hold the number " + value, place, name, number);
        }
        boolean isWhole = value == Math.rint(value) && Math.abs(value) < WHOLE_MAX;
        to.ascii(isWhole ? Long.toString((long) value) : cell.toString());
    }

    /** The text that says the same everywhere; null where there is none. */
    private static String textOf(Object cell) {
        if (cell instanceof CharSequence || cell instanceof Character || cell instanceof UUID
                || cell instanceof LocalDate || cell instanceof Instant) {
            return cell.toString();
        }
        if (cell instanceof LocalDateTime time) {
            return DateTimeFormatter.ISO_LOCAL_DATE_TIME.format(time);
        }
        if (cell instanceof LocalTime time) {
            return DateTimeFormatter.ISO_LOCAL_TIME.format(time);
        }
        if (cell instanceof OffsetTime time) {
            return DateTimeFormatter.ISO_OFFSET_TIME.format(time);
        }
        if (cell instanceof OffsetDateTime time) {
            return momentOf(time);
        }
        if (cell instanceof ZonedDateTime time) {
            return momentOf(time.toOffsetDateTime());
        }
        if (cell instanceof Time time) {
            int millis = (int) Math.floorMod(time.getTime(), 1000L); // which its text leaves out
            return millis == 0 ? time.toString() : String.format(Locale.ROOT, "%s.%03d", time, millis);
        }
        if (cell instanceof Date date) {
            // Those of JDBC say what the database has; their time-zone is that of this machine by chance alone.
            return date.getClass().getName().startsWith("java.sql.") ? date.toString() : date.toInstant().toString();
        }
        return cell instanceof Enum<?> one ? one.name() : null;
    }

    /** With its offset, which has minutes but no seconds in ISO 8601: those of long ago become UTC. */
    private static String momentOf(OffsetDateTime time) {
        boolean hasSeconds = time.getOffset().getTotalSeconds() % 60 != 0;
        return DateTimeFormatter.ISO_OFFSET_DATE_TIME
                .format(hasSeconds ? time.withOffsetSameInstant(ZoneOffset.UTC) : time);
    }

    private InvalidRowException refused(String code, String detail, int place, String name, long number) {
        String column = name != null ? name : place < names.size() ? names.get(place) : Integer.toString(place + 1);
        Map<String, Object> facts = new LinkedHashMap<>();
        facts.put("column", column);
        facts.putAll(placeOf(number));
        return new InvalidRowException(detail, code, Known.at(facts));
    }

    private Map<String, Object> placeOf(long number) {
        return sheet.isEmpty() ? Map.of("row", number) : Map.of("row", number, "sheet", sheet);
    }

    private static String kindOf(Object value) {
        return value == null ? "null" : "one of " + value.getClass().getTypeName();
    }
}
