"""Over time: cuts, optical flow, key frames, and colours that hold still."""
