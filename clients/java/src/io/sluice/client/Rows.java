package io.sluice.client;

import java.sql.ResultSet;
import java.sql.SQLException;
import java.util.Collections;
import java.util.Iterator;
import java.util.NoSuchElementException;
import java.util.Set;
import java.util.WeakHashMap;

/** Rows of a database as rows to write. */
public final class Rows {
    /** Results that were read, which go on behind the last row, so that another reading would miss the first. */
    private static final Set<ResultSet> READ_BEFORE =
            Collections.synchronizedSet(Collections.newSetFromMap(new WeakHashMap<>()));

    private Rows() {
    }

    /**
     * The rows of a query from where it stands, read one by one; the result stays open. What the database throws comes
     * as the cause of an {@link IllegalStateException}, and makes no file.
     *
     * @throws UsageException for a result that was read before: run the query again
     */
    public static Iterator<Object[]> of(ResultSet result) {
        if (!READ_BEFORE.add(result)) {
            throw new UsageException("These rows were read before: run the query again.");
        }
        try {
            return new OfResult(result, result.getMetaData().getColumnCount());
        } catch (SQLException error) {
            throw failed(error);
        }
    }

    private static IllegalStateException failed(SQLException error) {
        return new IllegalStateException("The query failed while its rows were read: " + error.getMessage(), error);
    }

    private static final class OfResult implements Iterator<Object[]> {
        private final ResultSet result;
        private final int columns;
        /** Whether the result stands at a row that was not given yet. */
        private boolean isAtRow;
        private boolean isAtEnd;

        OfResult(ResultSet result, int columns) {
            this.result = result;
            this.columns = columns;
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
            Object[] cells = new Object[columns];
            try {
                for (int place = 0; place < columns; place++) {
                    cells[place] = result.getObject(place + 1);
                }
            } catch (SQLException error) {
                throw failed(error);
            }
            return cells;
        }
    }
}
