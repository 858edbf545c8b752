package io.sluice.client;

/** Mend the data at {@link #row()} and {@link #column()}. */
public class InvalidRowException extends SluiceException {
    InvalidRowException(String detail, String code, Known known) {
        super(detail, code, known);
    }
}
