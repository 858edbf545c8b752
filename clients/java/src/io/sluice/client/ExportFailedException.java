package io.sluice.client;

/** There will be no file: the export failed, was cancelled, was deleted or has expired. */
public class ExportFailedException extends SluiceException {
    ExportFailedException(String detail, String code, Known known) {
        super(detail, code, known);
    }
}
