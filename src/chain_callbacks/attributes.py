"""An attribute that is computed when it is first read, and then the same for every thread."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    once = cached_property  # Type checkers know by its name that it is a property.
else:

    class once(cached_property):  # noqa: N801  It is used as `property` is.
        """A ``cached_property`` of which no two threads see two values, and which holds no lock.

        Python 3.12 took the lock out of the original: threads that read it for the first time at
        the same time each keep the value that they computed. The lock of Python 3.11 is one for all
        instances, and a child that is forked while another thread holds it waits forever. Here
        several threads may compute the value, and the first one to finish decides.
        """

        def __get__(self, instance, owner=None):
            if instance is None:
                return self
            # It looks and sets in one step. From now on Python finds the instance's attribute.
            return vars(instance).setdefault(self.attrname, self.func(instance))
