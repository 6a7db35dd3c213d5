"""Where a picture comes from: signed content credentials (C2PA), an invisible mark, and a signed log.

`seal.Seal` adds them to what Sfumato writes, `verify` reads them. Keys and log lie in one folder (`keys`). The
libraries of the extra ``provenance`` are imported when they are needed.

This package is not public: its names may change.
"""
