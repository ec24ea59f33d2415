"""Sinks that come along: `files` of every format and streams of the store; `histograms`, and `kept_histogram`."""

from labdaq.pipeline.sinks.files import ArchiveSink, DatasetSink, StoreSink, TableSink, as_sink
from labdaq.pipeline.sinks.histograms import HistogramSink
from labdaq.pipeline.sinks.kept_histogram import KeptHistogram

__all__ = ["ArchiveSink", "DatasetSink", "HistogramSink", "KeptHistogram", "StoreSink", "TableSink", "as_sink"]
