package io.sluice.client;

/** Refused for another reason, which {@link #code()} names. */
public class RefusedException extends SluiceException {
    RefusedException(String detail, String code, Known known) {
        super(detail, code, known);
    }
}
