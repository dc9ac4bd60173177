"""Classical approximations that an expert would try first."""

from qlib.attention.baselines.linformer import LINFORMER
from qlib.attention.baselines.local_window import LOCAL_WINDOW
from qlib.attention.baselines.lsh import LSH
from qlib.attention.baselines.nystrom import NYSTROM
from qlib.attention.baselines.performer import PERFORMER

BACKENDS = (PERFORMER, LINFORMER, NYSTROM, LOCAL_WINDOW, LSH)
