package io.sluice.client;

/** Other rows than before were sent under this key, or other totals than came: {@link Export#restartIfStopped()}. */
public class SourceChangedException extends SluiceException {
    SourceChangedException(String detail, String code, Known known) {
        super(detail, code, known);
    }
}
