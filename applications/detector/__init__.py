"""RetinaNets made of KerasHub's parts, which these modules import: `retinanet` imports them to build or load one."""
