"""The explorer: one offline page on which to watch networks grok, and to train one."""
