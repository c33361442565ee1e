"""Time for the parts that answer within seconds, so that a busy machine decides no test."""

from tests.support.patience import WEB, be_patient

be_patient(WEB)
