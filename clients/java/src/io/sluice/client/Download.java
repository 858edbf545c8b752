package io.sluice.client;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.security.MessageDigest;
import java.util.HexFormat;
import java.util.Map;
import java.util.UUID;
import java.util.function.Supplier;

/** A download that goes on after a cut through a new link, and counts only when it is whole and has its checksum. */
final class Download {
    private static final int REDIRECTS_MAX = 5;
    private static final int PROBLEM_BYTES_MAX = 65_536;

    private final Calls calls;
    private final Supplier<String> newLink;
    private final String sha256;
    private MessageDigest hash = Task.sha256();
    private long bytes;
    /** The most that was ever there: a server that begins anew each time and is cut each time makes no headway. */
    private long most;

    Download(Calls calls, Supplier<String> newLink, String sha256) {
        this.calls = calls;
        this.newLink = newLink;
        this.sha256 = sha256;
    }

    /**
     * Saves the file under a name beside its own, and renames it when it is whole; a failure leaves {@code path} as it
     * was.
     */
    void saveTo(Path path) {
        String link = newLink.get(); // says what the service says where there is no file
        Path part = path.resolveSibling(path.getFileName() + "." + UUID.randomUUID().toString().substring(0, 8)
                + ".part");
        try {
            FileChannel file = FileChannel.open(part, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE);
            try (file) {
                boolean hasModes = path.getFileSystem().supportedFileAttributeViews().contains("posix");
                if (hasModes && Files.exists(path)) { // open to no others than before
                    Files.setPosixFilePermissions(part, Files.getPosixFilePermissions(path));
                }
                fill(file, link);
                file.force(true);
            }
            Files.move(part, path, StandardCopyOption.ATOMIC_MOVE);
        } catch (IOException error) {
            throw notWritten(path, error);
        } finally {
            discard(part); // where it was not renamed
        }
    }

    private void fill(FileChannel file, String firstLink) {
        String[] link = {firstLink};
        calls.repeat(() -> {
            String one = link[0] != null ? link[0] : newLink.get();
            link[0] = null;
            append(file, addressOf(one), 0);
            return null;
        }, () -> most, () -> { });
        if (!HexFormat.of().formatHex(hash.digest()).equals(sha256)) {
            throw new ExportFailedException("The download is not what was written", "RESULT_VERIFY_FAILED",
                    Known.of("", false, "operator"));
        }
    }

    private URI addressOf(String link) {
        try {
            URI address = URI.create(calls.server).resolve(link);
            HttpRequest.newBuilder(address); // refuses what is no address of HTTP
            return address;
        } catch (IllegalArgumentException error) {
            throw Problem.unexpected("the answer has no link", "");
        }
    }

    private static void discard(Path part) {
        try {
            Files.deleteIfExists(part);
        } catch (IOException error) {
            // what failed before is what matters
        }
    }

    /** @param url carries no credential of ours, so it may lead on to a store */
    private void append(FileChannel file, URI url, int redirects) {
        HttpRequest.Builder request = HttpRequest.newBuilder(url).setHeader("Accept-Encoding", "identity");
        if (bytes > 0) {
            request.setHeader("Range", "bytes=" + bytes + "-");
        }
        ByteArrayOutputStream problem = new ByteArrayOutputStream();
        HttpResponse<Void> answer = calls.exchange(request, "", info -> {
            if (info.statusCode() == 200) { // also of a store that knows no ranges, and sends all of it again
                restart(file);
            }
            boolean isFile = info.statusCode() == 200 || info.statusCode() == 206;
            return isFile ? block -> write(file, block) : block -> keep(problem, block);
        });
        URI next = redirects < REDIRECTS_MAX ? redirectOf(answer, url) : null;
        if (next != null) {
            append(file, next, redirects + 1);
        } else if (answer.statusCode() != 416) { // 416: the connection broke behind the last byte
            SluiceException error = Problem.of(answer.statusCode(), answer.headers(),
                    problem.toString(StandardCharsets.UTF_8), calls.server, "");
            if (error != null) {
                throw error;
            }
        }
    }

    private void restart(FileChannel file) {
        try {
            file.truncate(0);
        } catch (IOException error) {
            throw notWritten(Path.of("the file"), error);
        }
        bytes = 0;
        hash = Task.sha256();
    }

    private void write(FileChannel file, ByteBuffer block) {
        ByteBuffer hashed = block.duplicate();
        try {
            for (long at = bytes; block.hasRemaining();) {
                at += file.write(block, at);
            }
        } catch (IOException error) {
            throw notWritten(Path.of("the file"), error);
        }
        bytes += hashed.remaining();
        hash.update(hashed);
        most = Math.max(most, bytes);
    }

    private static void keep(ByteArrayOutputStream problem, ByteBuffer block) {
        while (block.hasRemaining() && problem.size() < PROBLEM_BYTES_MAX) {
            problem.write(block.get());
        }
    }

    /** Where an answer leads; null where it leads nowhere, or from HTTPS to HTTP. */
    private static URI redirectOf(HttpResponse<Void> answer, URI from) {
        String location = answer.headers().firstValue("location").orElse(null);
        if (answer.statusCode() < 300 || answer.statusCode() > 308 || location == null) {
            return null;
        }
        try {
            URI to = from.resolve(location);
            HttpRequest.newBuilder(to);
            return "https".equals(to.getScheme()) || from.getScheme().equals(to.getScheme()) ? to : null;
        } catch (IllegalArgumentException error) {
            return null;
        }
    }

    private static TransportException notWritten(Path path, IOException error) {
        String reason = error instanceof FileSystemException one && one.getReason() != null ? one.getReason()
                : error instanceof FileSystemException ? error.getClass().getSimpleName() : error.getMessage();
        Known known = new Known(0, false, 0, "client", "", "", Map.of(), error);
        return new TransportException(path + " cannot be written: " + reason, "NOT_WRITTEN", known);
    }
}
