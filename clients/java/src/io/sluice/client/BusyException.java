package io.sluice.client;

/** Later, after {@link #retryAfter()}: a queue, a quota, a rate or a disk is full. */
public class BusyException extends SluiceException {
    BusyException(String detail, String code, Known known) {
        super(detail, code, known);
    }
}
