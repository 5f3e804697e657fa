"""Every stack that can be tested, by name."""

from .hive_stack import HiveStack
from .sentinel_stack import SentinelDefaultsStack, SentinelPvcStack, SentinelStack

STACKS = {stack.name: stack for stack in (HiveStack, SentinelStack, SentinelDefaultsStack, SentinelPvcStack)}
