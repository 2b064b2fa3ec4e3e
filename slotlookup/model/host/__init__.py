"""The host: physical frames, one address space, and the memory management of its kernel."""

from __future__ import annotations

import numpy as np

from slotlookup.address import PAGE_SHIFT
from slotlookup.errors import UsageError
from slotlookup.model.host.faults import Kind, classify, get_page, resolve
from slotlookup.model.host.frames import Frames
from slotlookup.model.host.reclaim import Watermarks, pageout, reclaim
from slotlookup.model.host.space import AddressSpace


class Host(AddressSpace):
    """One process's memory on a machine of `memory` bytes, with reclaim."""

    def __init__(self, memory: int, marks: Watermarks | None = None) -> None:
        if memory >> PAGE_SHIFT < 16:
            raise UsageError(f"a host of {memory:,} bytes; it needs 64 KiB or more")
        super().__init__(Frames(memory >> PAGE_SHIFT))
        self.marks = marks or Watermarks.of(memory >> PAGE_SHIFT)

    @property
    def spare(self) -> int:
        """Frames that can be allocated before reclaim must run."""
        return self.frames.free - self.marks.low

    def reclaim(self) -> None:
        """Free frames up to the high mark."""
        reclaim(self, self.marks)

    def write(self, hva: int, npages: int = 1) -> None:
        """The process itself writes pages: ordinary faults, which reach a hypervisor only if one copies a page."""
        page, end = hva >> PAGE_SHIFT, (hva >> PAGE_SHIFT) + npages
        while page < end:
            if self.spare <= 0:
                self.reclaim()
            index = self.pages.find(0, np.arange(page, min(end, page + max(1, self.spare)), dtype=np.int64))
            ways = np.ones(len(index), dtype=np.bool_)
            kinds = classify(self, index, ways)
            together = int(np.argmax(np.append(kinds, Kind.BAD) >= Kind.COPY))
            if together:
                resolve(self, index[:together], ways[:together], kinds[:together])
            else:
                get_page(self, page, write=True)
            page += max(1, together)

    def pageout(self, hva: int, size: int) -> None:
        """MADV_PAGEOUT."""
        pageout(self, hva, size)
