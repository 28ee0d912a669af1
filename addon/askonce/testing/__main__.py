"""`python -m askonce.testing`: the process that plays cassettes (`deck`)."""

import os

from askonce.proxy.light_start import load_lightly
from askonce.settings import wants_plain

load_lightly(all_of_mitmproxy=wants_plain(os.environ))

from askonce.testing.deck import main  # noqa: E402  # only now

os._exit(main())  # all is written down
