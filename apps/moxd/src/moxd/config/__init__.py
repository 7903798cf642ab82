"""What an administrator may say, and what is wrong with what was said.

kinds.py    kinds of values: names, addresses, ports
values.py   the settings of moxd.toml (static) and domains.toml (reloaded), as frozen values
places.py   which line of a TOML file a setting stands in
read.py     two files -> Config, or every problem at once, each with its place and what to do
check.py    what no single setting can know: addresses twice, unknown domains, missing files
transports.py, check_transports.py    the same for the ways by which mail leaves"""

from moxd.config.read import ConfigError, Problem, read_config, read_domains
from moxd.config.transports import BUILT_IN
from moxd.config.values import (
    Account,
    Config,
    Dkim,
    Dns,
    Domain,
    Domains,
    Listener,
    Outgoing,
    Selector,
    Static,
    Tls,
)

__all__ = [
    "BUILT_IN",
    "Account",
    "Config",
    "ConfigError",
    "Dkim",
    "Dns",
    "Domain",
    "Domains",
    "Listener",
    "Outgoing",
    "Problem",
    "Selector",
    "Static",
    "Tls",
    "read_config",
    "read_domains",
]
