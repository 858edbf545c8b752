package io.sluice.client;

/**
 * How far an export is: while rows are sent, and while the file is written.
 *
 * @param rows that the service has acknowledged to this process
 * @param replayed batches that the service had already, of an earlier run
 * @param bytes of rows, before they were packed
 * @param state open while rows are sent, then sealed, composing and how it ended
 * @param percent of the way to the file; where rows were announced, sending them is 75 of it
 */
public record Progress(long rows, long batches, long replayed, long bytes, long retries, String state, double percent) {
    static final Progress BEGINNING = new Progress(0, 0, 0, 0, 0, "open", 0);

    /** With one more batch; 0 expected rows where none were announced. */
    Progress counted(Sender.Stored stored, long retries, long expectedRows) {
        long all = rows + stored.rows();
        double sent = expectedRows > 0 ? Math.min(75, 75.0 * all / expectedRows) : 0;
        return new Progress(all, batches + 1, replayed + (stored.replayed() ? 1 : 0), bytes + stored.bytes(), retries,
                state, sent);
    }

    Progress at(Status status) {
        return new Progress(rows, batches, replayed, bytes, retries, status.state(), status.percent());
    }
}
