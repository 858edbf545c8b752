package io.sluice.client;

import java.lang.ref.Reference;
import java.lang.ref.ReferenceQueue;
import java.lang.ref.WeakReference;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;

/**
 * Sources that were read: they go on behind the last row, so that another reading would miss the first. They are compared
 * by identity, not by their {@code equals}: that of a record changes with what it has read.
 */
final class ReadOnce {
    private final Set<Read> before = ConcurrentHashMap.newKeySet();
    private final ReferenceQueue<Object> gone = new ReferenceQueue<>();

    /** Whether the source was not there. */
    boolean add(Object source) {
        for (Reference<?> one = gone.poll(); one != null; one = gone.poll()) {
            before.remove(one);
        }
        return before.add(new Read(source, gone));
    }

    boolean contains(Object source) {
        return before.contains(new Read(source, null));
    }

    private static final class Read extends WeakReference<Object> {
        private final int hash;

        Read(Object source, ReferenceQueue<Object> gone) {
            super(source, gone);
            this.hash = System.identityHashCode(source);
        }

        @Override
        public int hashCode() {
            return hash;
        }

        @Override
        public boolean equals(Object other) {
            return this == other || other instanceof Read read && get() != null && get() == read.get();
        }
    }
}
