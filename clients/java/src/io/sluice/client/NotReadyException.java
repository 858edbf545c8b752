package io.sluice.client;

/** Waiting ran out. The export goes on; take it up again by its id. */
public class NotReadyException extends SluiceException {
    NotReadyException(String detail, String code, Known known) {
        super(detail, code, known);
    }
}
