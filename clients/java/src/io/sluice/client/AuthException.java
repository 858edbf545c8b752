package io.sluice.client;

/** The key is missing, unknown, or may not do this. */
public class AuthException extends SluiceException {
    AuthException(String detail, String code, Known known) {
        super(detail, code, known);
    }
}
