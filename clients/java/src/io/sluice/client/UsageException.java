package io.sluice.client;

/** Mend the program. */
public class UsageException extends SluiceException {
    UsageException(String detail, String code, Known known) {
        super(detail, code, known);
    }

    UsageException(String detail) {
        super(detail, "USAGE", Known.NOTHING);
    }
}
