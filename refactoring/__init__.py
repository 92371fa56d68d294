"""Whether code that was rewritten still computes what it did, and the acceptance of old results for it."""

import pipelines  # noqa: F401  puts src on the path
