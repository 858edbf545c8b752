package io.sluice.client;

import java.sql.ResultSet;
import java.sql.ResultSetMetaData;
import java.sql.SQLException;
import java.sql.Types;
import java.time.LocalDate;
import java.time.LocalDateTime;
import java.time.LocalTime;
import java.time.OffsetDateTime;
import java.time.OffsetTime;
import java.util.Iterator;
import java.util.Locale;
import java.util.NoSuchElementException;
import java.util.Set;

/** Rows of a database as rows to write. */
public final class Rows {
    /** Results that were read, which go on behind the last row, so that another reading would miss the first. */
    private static final ReadOnce READ_BEFORE = new ReadOnce();
    /** What drivers give for infinity and for 24:00, which their text says. */
    private static final Set<Object> BOUNDS = Set.of(LocalDate.MIN, LocalDate.MAX, LocalDateTime.MIN,
            LocalDateTime.MAX, OffsetDateTime.MIN, OffsetDateTime.MAX, LocalTime.MAX);

    private Rows() {
    }

    /**
     * The rows of a query from where it stands, read one by one; the result stays open. What the database throws comes
     * as the cause of an {@link IllegalStateException}, and makes no file. Dates and times are those of the database,
     * whatever the zone of this machine: a time-stamp without a zone is what it shows there, one with a zone its moment.
     *
     * @throws UsageException for a result that was read before: run the query again
     */
    public static Iterator<Object[]> of(ResultSet result) {
        if (!READ_BEFORE.add(result) && !isBeforeItsFirstRow(result)) {
            throw new UsageException("These rows were read before: run the query again.");
        }
        try {
            return new OfResult(result);
        } catch (SQLException error) {
            throw failed(error);
        }
    }

    private static IllegalStateException failed(SQLException error) {
        return new IllegalStateException("The query failed while its rows were read: " + error.getMessage(), error);
    }

    /** Drivers may give the same result for a statement that was run again. */
    private static boolean isBeforeItsFirstRow(ResultSet result) {
        try {
            return result.getRow() == 0 && !result.isAfterLast();
        } catch (SQLException error) { // it does not say where it is
            return false;
        }
    }

    /** The class in which a column's cells are whole, independent of this machine's zone; null for that of the driver. */
    private static Class<?> kindOf(ResultSetMetaData columns, int place) throws SQLException {
        int type = columns.getColumnType(place);
        String name = String.valueOf(columns.getColumnTypeName(place)).toLowerCase(Locale.ROOT);
        boolean isMoment = name.equals("timestamptz") || name.equals("datetimeoffset") || name.endsWith("time zone")
                && name.startsWith("timestamp") && !name.contains("without");
        if (type == Types.TIMESTAMP_WITH_TIMEZONE || isMoment) {
            return OffsetDateTime.class;
        }
        return switch (type) {
            case Types.DATE -> LocalDate.class;
            case Types.TIMESTAMP -> LocalDateTime.class;
            case Types.TIME_WITH_TIMEZONE -> OffsetTime.class;
            case Types.TIME -> name.equals("timetz") ? OffsetTime.class : LocalTime.class;
            default -> null;
        };
    }

    /** One cell; as the driver has it where it does not give it in this class. */
    private static Object cellOf(ResultSet result, int place, Class<?> kind) throws SQLException {
        if (kind == null) {
            return result.getObject(place);
        }
        try {
            Object cell = result.getObject(place, kind);
            return cell != null && BOUNDS.contains(cell) ? result.getString(place) : cell;
        } catch (SQLException | RuntimeException | AbstractMethodError error) {
            boolean isTime = kind == LocalTime.class || kind == OffsetTime.class; // which drivers cut to seconds
            return isTime ? result.getString(place) : result.getObject(place);
        }
    }

    private static final class OfResult implements Iterator<Object[]> {
        private final ResultSet result;
        private final Class<?>[] kinds;
        /** Whether the result stands at a row that was not given yet. */
        private boolean isAtRow;
        private boolean isAtEnd;

        OfResult(ResultSet result) throws SQLException {
            this.result = result;
            ResultSetMetaData columns = result.getMetaData();
            kinds = new Class<?>[columns.getColumnCount()];
            for (int place = 0; place < kinds.length; place++) {
                kinds[place] = kindOf(columns, place + 1);
            }
        }

        @Override
        public boolean hasNext() {
            try {
                isAtRow = isAtRow || !isAtEnd && result.next();
                isAtEnd = !isAtRow;
                return isAtRow;
            } catch (SQLException error) {
                throw failed(error);
            }
        }

        @Override
        public Object[] next() {
            if (!hasNext()) {
                throw new NoSuchElementException();
            }
            isAtRow = false;
            Object[] cells = new Object[kinds.length];
            try {
                for (int place = 0; place < kinds.length; place++) {
                    cells[place] = cellOf(result, place + 1, kinds[place]);
                }
            } catch (SQLException error) {
                throw failed(error);
            }
            return cells;
        }
    }
}
