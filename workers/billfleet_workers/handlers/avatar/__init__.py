"""The avatar worker: an uploaded picture becomes squares of the sizes that were asked for.

`handler` is the life of an upload, `picture` knows images and nothing else.
"""

from billfleet_workers.handlers.avatar.handler import AvatarHandler, AvatarStores
from billfleet_workers.handlers.avatar.picture import PictureLimits

__all__ = ["AvatarHandler", "AvatarStores", "PictureLimits"]
