package io.sluice.client;

/** No answer, a page of a proxy, a file that cannot be written, or a thread that was interrupted. */
public class TransportException extends SluiceException {
    TransportException(String detail, String code, Known known) {
        super(detail, code, known);
    }
}
