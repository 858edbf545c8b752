package io.sluice.client;

import java.net.http.HttpResponse;
import java.nio.ByteBuffer;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.Flow;

/**
 * Takes the bytes of an answer one block after the other, as they come. What came before a cut was taken: readers of
 * streams would lose what they had not read yet.
 */
final class Receiver implements HttpResponse.BodySubscriber<Void> {
    /** Takes a block; what it throws ends the exchange. */
    interface Sink {
        void take(ByteBuffer block);
    }

    private final CompletableFuture<Void> whole = new CompletableFuture<>();
    private final Sink sink;
    private final Runnable onBytes;
    private Flow.Subscription subscription;

    Receiver(Sink sink, Runnable onBytes) {
        this.sink = sink;
        this.onBytes = onBytes;
    }

    @Override
    public CompletionStage<Void> getBody() {
        return whole;
    }

    @Override
    public void onSubscribe(Flow.Subscription one) {
        subscription = one;
        one.request(1);
    }

    @Override
    public void onNext(List<ByteBuffer> blocks) {
        onBytes.run();
        try {
            blocks.forEach(sink::take);
            subscription.request(1);
        } catch (RuntimeException error) {
            subscription.cancel();
            whole.completeExceptionally(error);
        }
    }

    @Override
    public void onError(Throwable error) {
        whole.completeExceptionally(error);
    }

    @Override
    public void onComplete() {
        whole.complete(null);
    }
}
