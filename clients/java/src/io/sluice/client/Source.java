package io.sluice.client;

import java.util.Iterator;
import java.util.function.Consumer;
import java.util.stream.Stream;

/** Rows that are given one by one, and read once. */
interface Source {
    /** Those of all exports. */
    ReadOnce READ_BEFORE = new ReadOnce();

    /**
     * @throws UsageException for rows that were read before
     */
    void giveTo(Consumer<Object> taker);

    static Source of(Iterator<?> rows) {
        return taker -> {
            // One that is empty is not kept: that of an empty list may be the same for all of them.
            refuse(rows.hasNext() ? !READ_BEFORE.add(rows) : READ_BEFORE.contains(rows));
            while (rows.hasNext()) {
                taker.accept(rows.next());
            }
        };
    }

    /** The iterator of a stream would hold what is between two of its rows: in {@code flatMap} all rows of the other. */
    static Source of(Stream<?> rows) {
        return taker -> {
            refuse(!READ_BEFORE.add(rows));
            rows.sequential().forEachOrdered(taker);
        };
    }

    private static void refuse(boolean wasRead) {
        if (wasRead) {
            throw new UsageException("These rows were read before: run the query again, or make the iterator anew.");
        }
    }
}
