/*
 * protobuf_cases.h — messages as Google's protobuf writes them, and the JSON they are. Written by protobuf/make-cases.
 */
#ifndef PROTOBUF_CASES_H
#define PROTOBUF_CASES_H

typedef struct Case
{
	const char *message;
	const char *hex;
	const char *want; /* JSON, or "!" and the code it is refused with */
} Case;

/* Of cases.proto and old.proto. */
static const char descriptors[] =
	"CqUFCglvbGQucHJvdG8SA29sZCLUBAoDT2xkEg4KAmlkGAEgAigFUgJpZBISCgRuYW1lGAIgASgJUgRuYW1lEhs"
	"KBnByZXNldBgDIAEoAzoDLTQyUgZwcmVzZXQSGAoEcmVhbBgEIAEoAToELWluZlIEcmVhbBIcCgR0ZXh0GAUgAS"
	"gJOghhImJcYwrDqVIEdGV4dBIhCgNyYXcYBiABKAw6D1wwMDBcMzc3eFxuXCJcXFIDcmF3Eh0KBHNpemUYByABK"
	"A4yCS5vbGQuU2l6ZVIEc2l6ZRImCgVsYXJnZRgIIAEoDjIJLm9sZC5TaXplOgVMQVJHRVIFbGFyZ2USFgoDeWVz"
	"GAkgASgIOgR0cnVlUgN5ZXMSEgoEbGlzdBgKIAMoBVIEbGlzdBIaCgZwYWNrZWQYCyADKAVCAhABUgZwYWNrZWQ"
	"SIQoEcGFydBgMIAEoCjINLm9sZC5PbGQuUGFydFIEcGFydBIoCgRtb3N0GA0gASgEOhQxODQ0Njc0NDA3MzcwOT"
	"U1MTYxNVIEbW9zdBIZCgVzbWFsbBgOIAEoAjoDMC4xUgVzbWFsbBIpCgVub3RlcxgPIAMoCzITLm9sZC5PbGQuT"
	"m90ZXNFbnRyeVIFbm90ZXMaTgoEUGFydBIMCgFhGAEgASgFUgFhEiMKA3N1YhgCIAMoCjIRLm9sZC5PbGQuUGFy"
	"dC5TdWJSA3N1YhoTCgNTdWISDAoBYhgBIAEoCVIBYho4CgpOb3Rlc0VudHJ5EhAKA2tleRgBIAEoCVIDa2V5EhQ"
	"KBXZhbHVlGAIgASgJUgV2YWx1ZToCOAEqBQhkEMgBKhwKBFNpemUSCQoFU01BTEwQARIJCgVMQVJHRRACOh4KBW"
	"V4dHJhEggub2xkLk9sZBhkIAEoBVIFZXh0cmEK5AEKGWdvb2dsZS9wcm90b2J1Zi9hbnkucHJvdG8SD2dvb2dsZ"
	"S5wcm90b2J1ZiI2CgNBbnkSGQoIdHlwZV91cmwYASABKAlSB3R5cGVVcmwSFAoFdmFsdWUYAiABKAxSBXZhbHVl"
	"QnYKE2NvbS5nb29nbGUucHJvdG9idWZCCEFueVByb3RvUAFaLGdvb2dsZS5nb2xhbmcub3JnL3Byb3RvYnVmL3R"
	"5cGVzL2tub3duL2FueXBiogIDR1BCqgIeR29vZ2xlLlByb3RvYnVmLldlbGxLbm93blR5cGVzYgZwcm90bzMK+w"
	"EKHmdvb2dsZS9wcm90b2J1Zi9kdXJhdGlvbi5wcm90bxIPZ29vZ2xlLnByb3RvYnVmIjoKCER1cmF0aW9uEhgKB"
	"3NlY29uZHMYASABKANSB3NlY29uZHMSFAoFbmFub3MYAiABKAVSBW5hbm9zQoMBChNjb20uZ29vZ2xlLnByb3Rv"
	"YnVmQg1EdXJhdGlvblByb3RvUAFaMWdvb2dsZS5nb2xhbmcub3JnL3Byb3RvYnVmL3R5cGVzL2tub3duL2R1cmF"
	"0aW9ucGL4AQGiAgNHUEKqAh5Hb29nbGUuUHJvdG9idWYuV2VsbEtub3duVHlwZXNiBnByb3RvMwq+AQobZ29vZ2"
	"xlL3Byb3RvYnVmL2VtcHR5LnByb3RvEg9nb29nbGUucHJvdG9idWYiBwoFRW1wdHlCfQoTY29tLmdvb2dsZS5wc"
	"m90b2J1ZkIKRW1wdHlQcm90b1ABWi5nb29nbGUuZ29sYW5nLm9yZy9wcm90b2J1Zi90eXBlcy9rbm93bi9lbXB0"
	"eXBi+AEBogIDR1BCqgIeR29vZ2xlLlByb3RvYnVmLldlbGxLbm93blR5cGVzYgZwcm90bzMK5gEKIGdvb2dsZS9"
	"wcm90b2J1Zi9maWVsZF9tYXNrLnByb3RvEg9nb29nbGUucHJvdG9idWYiIQoJRmllbGRNYXNrEhQKBXBhdGhzGA"
	"EgAygJUgVwYXRoc0KFAQoTY29tLmdvb2dsZS5wcm90b2J1ZkIORmllbGRNYXNrUHJvdG9QAVoyZ29vZ2xlLmdvb"
	"GFuZy5vcmcvcHJvdG9idWYvdHlwZXMva25vd24vZmllbGRtYXNrcGL4AQGiAgNHUEKqAh5Hb29nbGUuUHJvdG9i"
	"dWYuV2VsbEtub3duVHlwZXNiBnByb3RvMwriBQocZ29vZ2xlL3Byb3RvYnVmL3N0cnVjdC5wcm90bxIPZ29vZ2x"
	"lLnByb3RvYnVmIpgBCgZTdHJ1Y3QSOwoGZmllbGRzGAEgAygLMiMuZ29vZ2xlLnByb3RvYnVmLlN0cnVjdC5GaW"
	"VsZHNFbnRyeVIGZmllbGRzGlEKC0ZpZWxkc0VudHJ5EhAKA2tleRgBIAEoCVIDa2V5EiwKBXZhbHVlGAIgASgLM"
	"hYuZ29vZ2xlLnByb3RvYnVmLlZhbHVlUgV2YWx1ZToCOAEisgIKBVZhbHVlEjsKCm51bGxfdmFsdWUYASABKA4y"
	"Gi5nb29nbGUucHJvdG9idWYuTnVsbFZhbHVlSABSCW51bGxWYWx1ZRIjCgxudW1iZXJfdmFsdWUYAiABKAFIAFI"
	"LbnVtYmVyVmFsdWUSIwoMc3RyaW5nX3ZhbHVlGAMgASgJSABSC3N0cmluZ1ZhbHVlEh8KCmJvb2xfdmFsdWUYBC"
	"ABKAhIAFIJYm9vbFZhbHVlEjwKDHN0cnVjdF92YWx1ZRgFIAEoCzIXLmdvb2dsZS5wcm90b2J1Zi5TdHJ1Y3RIA"
	"FILc3RydWN0VmFsdWUSOwoKbGlzdF92YWx1ZRgGIAEoCzIaLmdvb2dsZS5wcm90b2J1Zi5MaXN0VmFsdWVIAFIJ"
	"bGlzdFZhbHVlQgYKBGtpbmQiOwoJTGlzdFZhbHVlEi4KBnZhbHVlcxgBIAMoCzIWLmdvb2dsZS5wcm90b2J1Zi5"
	"WYWx1ZVIGdmFsdWVzKhsKCU51bGxWYWx1ZRIOCgpOVUxMX1ZBTFVFEABCfwoTY29tLmdvb2dsZS5wcm90b2J1Zk"
	"ILU3RydWN0UHJvdG9QAVovZ29vZ2xlLmdvbGFuZy5vcmcvcHJvdG9idWYvdHlwZXMva25vd24vc3RydWN0cGL4A"
	"QGiAgNHUEKqAh5Hb29nbGUuUHJvdG9idWYuV2VsbEtub3duVHlwZXNiBnByb3RvMwr/AQofZ29vZ2xlL3Byb3Rv"
	"YnVmL3RpbWVzdGFtcC5wcm90bxIPZ29vZ2xlLnByb3RvYnVmIjsKCVRpbWVzdGFtcBIYCgdzZWNvbmRzGAEgASg"
	"DUgdzZWNvbmRzEhQKBW5hbm9zGAIgASgFUgVuYW5vc0KFAQoTY29tLmdvb2dsZS5wcm90b2J1ZkIOVGltZXN0YW"
	"1wUHJvdG9QAVoyZ29vZ2xlLmdvbGFuZy5vcmcvcHJvdG9idWYvdHlwZXMva25vd24vdGltZXN0YW1wcGL4AQGiA"
	"gNHUEKqAh5Hb29nbGUuUHJvdG9idWYuV2VsbEtub3duVHlwZXNiBnByb3RvMwqGBAoeZ29vZ2xlL3Byb3RvYnVm"
	"L3dyYXBwZXJzLnByb3RvEg9nb29nbGUucHJvdG9idWYiIwoLRG91YmxlVmFsdWUSFAoFdmFsdWUYASABKAFSBXZ"
	"hbHVlIiIKCkZsb2F0VmFsdWUSFAoFdmFsdWUYASABKAJSBXZhbHVlIiIKCkludDY0VmFsdWUSFAoFdmFsdWUYAS"
	"ABKANSBXZhbHVlIiMKC1VJbnQ2NFZhbHVlEhQKBXZhbHVlGAEgASgEUgV2YWx1ZSIiCgpJbnQzMlZhbHVlEhQKB"
	"XZhbHVlGAEgASgFUgV2YWx1ZSIjCgtVSW50MzJWYWx1ZRIUCgV2YWx1ZRgBIAEoDVIFdmFsdWUiIQoJQm9vbFZh"
	"bHVlEhQKBXZhbHVlGAEgASgIUgV2YWx1ZSIjCgtTdHJpbmdWYWx1ZRIUCgV2YWx1ZRgBIAEoCVIFdmFsdWUiIgo"
	"KQnl0ZXNWYWx1ZRIUCgV2YWx1ZRgBIAEoDFIFdmFsdWVCgwEKE2NvbS5nb29nbGUucHJvdG9idWZCDVdyYXBwZX"
	"JzUHJvdG9QAVoxZ29vZ2xlLmdvbGFuZy5vcmcvcHJvdG9idWYvdHlwZXMva25vd24vd3JhcHBlcnNwYvgBAaICA"
	"0dQQqoCHkdvb2dsZS5Qcm90b2J1Zi5XZWxsS25vd25UeXBlc2IGcHJvdG8zCtcVCgtjYXNlcy5wcm90bxIHc2hv"
	"cC52MRoZZ29vZ2xlL3Byb3RvYnVmL2FueS5wcm90bxoeZ29vZ2xlL3Byb3RvYnVmL2R1cmF0aW9uLnByb3RvGht"
	"nb29nbGUvcHJvdG9idWYvZW1wdHkucHJvdG8aIGdvb2dsZS9wcm90b2J1Zi9maWVsZF9tYXNrLnByb3RvGhxnb2"
	"9nbGUvcHJvdG9idWYvc3RydWN0LnByb3RvGh9nb29nbGUvcHJvdG9idWYvdGltZXN0YW1wLnByb3RvGh5nb29nb"
	"GUvcHJvdG9idWYvd3JhcHBlcnMucHJvdG8aCW9sZC5wcm90byLIAgoFUGxhaW4SDAoBZBgBIAEoAVIBZBIMCgFm"
	"GAIgASgCUgFmEhAKA2k2NBgDIAEoA1IDaTY0EhAKA3U2NBgEIAEoBFIDdTY0EhAKA2kzMhgFIAEoBVIDaTMyEhA"
	"KA3g2NBgGIAEoBlIDeDY0EhAKA3gzMhgHIAEoB1IDeDMyEgwKAWIYCCABKAhSAWISDAoBcxgJIAEoCVIBcxIQCg"
	"NyYXcYDCABKAxSA3JhdxIQCgN1MzIYDSABKA1SA3UzMhInCgZjb2xvdXIYDiABKA4yDy5zaG9wLnYxLkNvbG91c"
	"lIGY29sb3VyEhIKBHN4MzIYDyABKA9SBHN4MzISEgoEc3g2NBgQIAEoEFIEc3g2NBIQCgNzMzIYESABKBFSA3Mz"
	"MhIQCgNzNjQYEiABKBJSA3M2NBIUCgNmYXIY/////wEgASgFUgNmYXIigQMKCFByZXNlbmNlEhkKBW1heWJlGAE"
	"gASgFSAFSBW1heWJliAEBEhcKBHRleHQYAiABKAlIAlIEdGV4dIgBARIkCgVwbGFpbhgDIAEoCzIOLnNob3Audj"
	"EuUGxhaW5SBXBsYWluEhgKBm51bWJlchgEIAEoBUgAUgZudW1iZXISFAoEd29yZBgFIAEoCUgAUgR3b3JkEicKB"
	"HNlbGYYBiABKAsyES5zaG9wLnYxLlByZXNlbmNlSABSBHNlbGYSLQoFaW5uZXIYByABKAsyFy5zaG9wLnYxLlBy"
	"ZXNlbmNlLklubmVyUgVpbm5lchp2CgVJbm5lchIMCgFhGAEgASgFUgFhEhIKBG1hbnkYAiADKAVSBG1hbnkSLwo"
	"Gd2l0aGluGAMgASgLMhcuc2hvcC52MS5QcmVzZW5jZS5Jbm5lclIGd2l0aGluGhoKBERlZXASEgoEbGVhZhgBIA"
	"EoCVIEbGVhZkIICgZjaG9pY2VCCAoGX21heWJlQgcKBV90ZXh0IrwGCgRNYW55EhAKA2kzMhgBIAMoBVIDaTMyE"
	"gwKAWQYAiADKAFSAWQSDAoBcxgDIAMoCVIBcxIQCgNyYXcYBCADKAxSA3JhdxItCgVpbm5lchgFIAMoCzIXLnNo"
	"b3AudjEuUHJlc2VuY2UuSW5uZXJSBWlubmVyEicKBmNvbG91chgGIAMoDjIPLnNob3AudjEuQ29sb3VyUgZjb2x"
	"vdXISGAoFbG9vc2UYByADKBJCAhAAUgVsb29zZRIxCgZjb3VudHMYCCADKAsyGS5zaG9wLnYxLk1hbnkuQ291bn"
	"RzRW50cnlSBmNvdW50cxIuCgVuYW1lcxgJIAMoCzIYLnNob3AudjEuTWFueS5OYW1lc0VudHJ5UgVuYW1lcxIuC"
	"gVmbGFncxgKIAMoCzIYLnNob3AudjEuTWFueS5GbGFnc0VudHJ5UgVmbGFncxI0Cgdjb2xvdXJzGAsgAygLMhou"
	"c2hvcC52MS5NYW55LkNvbG91cnNFbnRyeVIHY29sb3VycxIxCgZ2YWx1ZXMYDCADKAsyGS5zaG9wLnYxLk1hbnk"
	"uVmFsdWVzRW50cnlSBnZhbHVlcxIQCgN4MzIYDSADKAdSA3gzMhIMCgFiGA4gAygIUgFiGjkKC0NvdW50c0VudH"
	"J5EhAKA2tleRgBIAEoCVIDa2V5EhQKBXZhbHVlGAIgASgFUgV2YWx1ZToCOAEaOAoKTmFtZXNFbnRyeRIQCgNrZ"
	"XkYASABKAVSA2tleRIUCgV2YWx1ZRgCIAEoCVIFdmFsdWU6AjgBGlEKCkZsYWdzRW50cnkSEAoDa2V5GAEgASgI"
	"UgNrZXkSLQoFdmFsdWUYAiABKAsyFy5zaG9wLnYxLlByZXNlbmNlLklubmVyUgV2YWx1ZToCOAEaSwoMQ29sb3V"
	"yc0VudHJ5EhAKA2tleRgBIAEoBFIDa2V5EiUKBXZhbHVlGAIgASgOMg8uc2hvcC52MS5Db2xvdXJSBXZhbHVlOg"
	"I4ARpRCgtWYWx1ZXNFbnRyeRIQCgNrZXkYASABKBFSA2tleRIsCgV2YWx1ZRgCIAEoCzIWLmdvb2dsZS5wcm90b"
	"2J1Zi5WYWx1ZVIFdmFsdWU6AjgBIpQGCgVLbm93bhIqCgJhdBgBIAEoCzIaLmdvb2dsZS5wcm90b2J1Zi5UaW1l"
	"c3RhbXBSAmF0Ei0KBHRvb2sYAiABKAsyGS5nb29nbGUucHJvdG9idWYuRHVyYXRpb25SBHRvb2sSKgoBZBgDIAE"
	"oCzIcLmdvb2dsZS5wcm90b2J1Zi5Eb3VibGVWYWx1ZVIBZBItCgNpNjQYBCABKAsyGy5nb29nbGUucHJvdG9idW"
	"YuSW50NjRWYWx1ZVIDaTY0EioKAXMYBSABKAsyHC5nb29nbGUucHJvdG9idWYuU3RyaW5nVmFsdWVSAXMSKAoBY"
	"hgGIAEoCzIaLmdvb2dsZS5wcm90b2J1Zi5Cb29sVmFsdWVSAWISLQoDcmF3GAcgASgLMhsuZ29vZ2xlLnByb3Rv"
	"YnVmLkJ5dGVzVmFsdWVSA3JhdxIvCgZvYmplY3QYCCABKAsyFy5nb29nbGUucHJvdG9idWYuU3RydWN0UgZvYmp"
	"lY3QSLAoFdmFsdWUYCSABKAsyFi5nb29nbGUucHJvdG9idWYuVmFsdWVSBXZhbHVlEi4KBGxpc3QYCiABKAsyGi"
	"5nb29nbGUucHJvdG9idWYuTGlzdFZhbHVlUgRsaXN0Ei4KBG1hc2sYCyABKAsyGi5nb29nbGUucHJvdG9idWYuR"
	"mllbGRNYXNrUgRtYXNrEiYKA2FueRgMIAEoCzIULmdvb2dsZS5wcm90b2J1Zi5BbnlSA2FueRIsCgVlbXB0eRgN"
	"IAEoCzIWLmdvb2dsZS5wcm90b2J1Zi5FbXB0eVIFZW1wdHkSLgoEbnVsbBgOIAEoDjIaLmdvb2dsZS5wcm90b2J"
	"1Zi5OdWxsVmFsdWVSBG51bGwSMAoFdGltZXMYDyADKAsyGi5nb29nbGUucHJvdG9idWYuVGltZXN0YW1wUgV0aW"
	"1lcxIpCgFmGBAgASgLMhsuZ29vZ2xlLnByb3RvYnVmLkZsb2F0VmFsdWVSAWYSLgoDdTMyGBEgASgLMhwuZ29vZ"
	"2xlLnByb3RvYnVmLlVJbnQzMlZhbHVlUgN1MzIibwoFTWl4ZWQSGgoDb2xkGAEgASgLMggub2xkLk9sZFIDb2xk"
	"EiQKBWtub3duGAIgAygLMg4uc2hvcC52MS5Lbm93blIFa25vd24SJAoFbWl4ZWQYAyABKAsyDi5zaG9wLnYxLk1"
	"peGVkUgVtaXhlZCo9CgZDb2xvdXISCAoETk9ORRAAEgcKA1JFRBABEgkKBVJPVUdFEAESEQoEQkxVRRD7//////"
	"////8BGgIQAWIGcHJvdG8z";

static const Case cases[] = {
	{"shop.v1.Plain", "",
	 "{\"d\":0,\"f\":0,\"i64\":0,\"u64\":0,\"i32\":0,\"x64\":0,\"x32\":0,\"b\":false,\"s\":\""
	 "\",\"raw\":\"\\\\x\",\"u32\":0,\"colour\":\"NONE\",\"sx32\":0,\"sx64\":0,\"s32\":0,\"s6"
	 "4\":0,\"far\":0}"},
	{"shop.v1.Presence", "", "{}"},
	{"shop.v1.Many", "",
	 "{\"i32\":[],\"d\":[],\"s\":[],\"raw\":[],\"inner\":[],\"colour\":[],\"loose\":[],\"coun"
	 "ts\":{},\"names\":{},\"flags\":{},\"colours\":{},\"values\":{},\"x32\":[],\"b\":[]}"},
	{"shop.v1.Known", "", "{\"null\":null,\"times\":[]}"},
	{"shop.v1.Mixed", "", "{\"known\":[]}"},
	{"old.Old", "0807",
	 "{\"id\":7,\"preset\":-42,\"real\":\"-Infinity\",\"text\":\"a\\\"b\\\\c\\u000a\303\251\""
	 ",\"raw\":\"\\\\x00ff780a225c\",\"large\":\"LARGE\",\"yes\":true,\"list\":[],\"packed\":"
	 "[],\"most\":18446744073709551615,\"small\":0.1,\"notes\":{}}"},
	{"shop.v1.Plain",
	 "099a9999999999b93f15cdcccc3d188080808080808080800120ffffffffffffffffff0128fffffffffffff"
	 "fffff0131ffffffffffffffff3dffffffff40014a05c3a9225c0a620200ff68ffffffff0f70017d00000080"
	 "810100000000000000808801ffffffff0f9001ffffffffffffffffff01f8ffffff0f09",
	 "{\"d\":0.1,\"f\":0.1,\"i64\":-9223372036854775808,\"u64\":18446744073709551615,\"i32\":"
	 "-1,\"x64\":18446744073709551615,\"x32\":4294967295,\"b\":true,\"s\":\"\303\251\\\"\\\\"
	 "\\u000a\",\"raw\":\"\\\\x00ff\",\"u32\":4294967295,\"colour\":\"RED\",\"sx32\":-2147483"
	 "648,\"sx64\":-9223372036854775808,\"s32\":-2147483648,\"s64\":-9223372036854775808,\"fa"
	 "r\":9}"},
	{"shop.v1.Plain", "09000000000000f87f150000c07f",
	 "{\"d\":\"NaN\",\"f\":\"NaN\",\"i64\":0,\"u64\":0,\"i32\":0,\"x64\":0,\"x32\":0,\"b\":fa"
	 "lse,\"s\":\"\",\"raw\":\"\\\\x\",\"u32\":0,\"colour\":\"NONE\",\"sx32\":0,\"sx64\":0,\""
	 "s32\":0,\"s64\":0,\"far\":0}"},
	{"shop.v1.Plain", "09000000000000f07f150000807f",
	 "{\"d\":\"Infinity\",\"f\":\"Infinity\",\"i64\":0,\"u64\":0,\"i32\":0,\"x64\":0,\"x32\":"
	 "0,\"b\":false,\"s\":\"\",\"raw\":\"\\\\x\",\"u32\":0,\"colour\":\"NONE\",\"sx32\":0,\"s"
	 "x64\":0,\"s32\":0,\"s64\":0,\"far\":0}"},
	{"shop.v1.Plain", "09000000000000f0ff15000080ff",
	 "{\"d\":\"-Infinity\",\"f\":\"-Infinity\",\"i64\":0,\"u64\":0,\"i32\":0,\"x64\":0,\"x32"
	 "\":0,\"b\":false,\"s\":\"\",\"raw\":\"\\\\x\",\"u32\":0,\"colour\":\"NONE\",\"sx32\":0,"
	 "\"sx64\":0,\"s32\":0,\"s64\":0,\"far\":0}"},
	{"shop.v1.Plain", "0900000000000000801500000080",
	 "{\"d\":-0,\"f\":-0,\"i64\":0,\"u64\":0,\"i32\":0,\"x64\":0,\"x32\":0,\"b\":false,\"s\":"
	 "\"\",\"raw\":\"\\\\x\",\"u32\":0,\"colour\":\"NONE\",\"sx32\":0,\"sx64\":0,\"s32\":0,\""
	 "s64\":0,\"far\":0}"},
	{"shop.v1.Plain", "09000000000000f83f150000c03f",
	 "{\"d\":1.5,\"f\":1.5,\"i64\":0,\"u64\":0,\"i32\":0,\"x64\":0,\"x32\":0,\"b\":false,\"s"
	 "\":\"\",\"raw\":\"\\\\x\",\"u32\":0,\"colour\":\"NONE\",\"sx32\":0,\"sx64\":0,\"s32\":0"
	 ",\"s64\":0,\"far\":0}"},
	{"shop.v1.Plain", "0900000000000008401500004040",
	 "{\"d\":3,\"f\":3,\"i64\":0,\"u64\":0,\"i32\":0,\"x64\":0,\"x32\":0,\"b\":false,\"s\":\""
	 "\",\"raw\":\"\\\\x\",\"u32\":0,\"colour\":\"NONE\",\"sx32\":0,\"sx64\":0,\"s32\":0,\"s6"
	 "4\":0,\"far\":0}"},
	{"shop.v1.Plain", "",
	 "{\"d\":0,\"f\":0,\"i64\":0,\"u64\":0,\"i32\":0,\"x64\":0,\"x32\":0,\"b\":false,\"s\":\""
	 "\",\"raw\":\"\\\\x\",\"u32\":0,\"colour\":\"NONE\",\"sx32\":0,\"sx64\":0,\"s32\":0,\"s6"
	 "4\":0,\"far\":0}"},
	{"shop.v1.Plain", "7001",
	 "{\"d\":0,\"f\":0,\"i64\":0,\"u64\":0,\"i32\":0,\"x64\":0,\"x32\":0,\"b\":false,\"s\":\""
	 "\",\"raw\":\"\\\\x\",\"u32\":0,\"colour\":\"RED\",\"sx32\":0,\"sx64\":0,\"s32\":0,\"s64"
	 "\":0,\"far\":0}"},
	{"shop.v1.Plain", "70fbffffffffffffffff01",
	 "{\"d\":0,\"f\":0,\"i64\":0,\"u64\":0,\"i32\":0,\"x64\":0,\"x32\":0,\"b\":false,\"s\":\""
	 "\",\"raw\":\"\\\\x\",\"u32\":0,\"colour\":\"BLUE\",\"sx32\":0,\"sx64\":0,\"s32\":0,\"s6"
	 "4\":0,\"far\":0}"},
	{"shop.v1.Plain", "7009",
	 "{\"d\":0,\"f\":0,\"i64\":0,\"u64\":0,\"i32\":0,\"x64\":0,\"x32\":0,\"b\":false,\"s\":\""
	 "\",\"raw\":\"\\\\x\",\"u32\":0,\"colour\":9,\"sx32\":0,\"sx64\":0,\"s32\":0,\"s64\":0,"
	 "\"far\":0}"},
	{"shop.v1.Plain", "70ffffffffffffffffff01",
	 "{\"d\":0,\"f\":0,\"i64\":0,\"u64\":0,\"i32\":0,\"x64\":0,\"x32\":0,\"b\":false,\"s\":\""
	 "\",\"raw\":\"\\\\x\",\"u32\":0,\"colour\":-1,\"sx32\":0,\"sx64\":0,\"s32\":0,\"s64\":0,"
	 "\"far\":0}"},
	{"shop.v1.Plain", "28012802",
	 "{\"d\":0,\"f\":0,\"i64\":0,\"u64\":0,\"i32\":2,\"x64\":0,\"x32\":0,\"b\":false,\"s\":\""
	 "\",\"raw\":\"\\\\x\",\"u32\":0,\"colour\":\"NONE\",\"sx32\":0,\"sx64\":0,\"s32\":0,\"s6"
	 "4\":0,\"far\":0}"},
	{"shop.v1.Plain",
	 "a20603616263a80605ad0601020304a9060102030405060708ab060801ab06120178ac06ac062802",
	 "{\"d\":0,\"f\":0,\"i64\":0,\"u64\":0,\"i32\":2,\"x64\":0,\"x32\":0,\"b\":false,\"s\":\""
	 "\",\"raw\":\"\\\\x\",\"u32\":0,\"colour\":\"NONE\",\"sx32\":0,\"sx64\":0,\"s32\":0,\"s6"
	 "4\":0,\"far\":0}"},
	{"shop.v1.Plain", "2881808000408201",
	 "{\"d\":0,\"f\":0,\"i64\":0,\"u64\":0,\"i32\":1,\"x64\":0,\"x32\":0,\"b\":true,\"s\":\""
	 "\",\"raw\":\"\\\\x\",\"u32\":0,\"colour\":\"NONE\",\"sx32\":0,\"sx64\":0,\"s32\":0,\"s6"
	 "4\":0,\"far\":0}"},
	{"shop.v1.Presence", "3a0a0801120201021a0208053a081201031a03120109",
	 "{\"inner\":{\"a\":1,\"many\":[1,2,3],\"within\":{\"a\":5,\"many\":[9]}}}"},
	{"shop.v1.Presence", "20012a0177", "{\"word\":\"w\"}"},
	{"shop.v1.Presence", "320c3a0a0801120201021a020805320a3a081201031a03120109",
	 "{\"self\":{\"inner\":{\"a\":1,\"many\":[1,2,3],\"within\":{\"a\":5,\"many\":[9]}}}}"},
	{"shop.v1.Presence", "320c3a0a0801120201021a0208052000320a3a081201031a03120109",
	 "{\"self\":{\"inner\":{\"a\":0,\"many\":[3],\"within\":{\"a\":0,\"many\":[9]}}}}"},
	{"shop.v1.Presence", "08001200", "{\"maybe\":0,\"text\":\"\"}"},
	{"shop.v1.Presence", "2000", "{\"number\":0}"},
	{"shop.v1.Presence",
	 "1a7a099a9999999999b93f15cdcccc3d188080808080808080800120ffffffffffffffffff0128fffffffff"
	 "fffffffff0131ffffffffffffffff3dffffffff40014a05c3a9225c0a620200ff68ffffffff0f70017d0000"
	 "0080810100000000000000808801ffffffff0f9001ffffffffffffffffff01f8ffffff0f09",
	 "{\"plain\":{\"d\":0.1,\"f\":0.1,\"i64\":-9223372036854775808,\"u64\":184467440737095516"
	 "15,\"i32\":-1,\"x64\":18446744073709551615,\"x32\":4294967295,\"b\":true,\"s\":\"\303"
	 "\251\\\"\\\\\\u000a\",\"raw\":\"\\\\x00ff\",\"u32\":4294967295,\"colour\":\"RED\",\"sx3"
	 "2\":-2147483648,\"sx64\":-9223372036854775808,\"s32\":-2147483648,\"s64\":-922337203685"
	 "4775808,\"far\":9}}"},
	{"shop.v1.Many",
	 "0a0d01ffffffffffffffffff01ac021210000000000000e03f00000000000000401a001a017822002201612"
	 "a002a0208013203000109380138808080808080808080016a08010000000200000072020100",
	 "{\"i32\":[1,-1,300],\"d\":[0.5,2],\"s\":[\"\",\"x\"],\"raw\":[\"\\\\x\",\"\\\\x61\"],\""
	 "inner\":[{\"a\":0,\"many\":[]},{\"a\":1,\"many\":[]}],\"colour\":[\"NONE\",\"RED\",9],"
	 "\"loose\":[-1,4611686018427387904],\"counts\":{},\"names\":{},\"flags\":{},\"colours\":"
	 "{},\"values\":{},\"x32\":[1,2],\"b\":[true,false]}"},
	{"shop.v1.Many", "0a02010208030a000a01043a0201023804",
	 "{\"i32\":[1,2,3,4],\"d\":[],\"s\":[],\"raw\":[],\"inner\":[],\"colour\":[],\"loose\":[-"
	 "1,1,2],\"counts\":{},\"names\":{},\"flags\":{},\"colours\":{},\"values\":{},\"x32\":[],"
	 "\"b\":[]}"},
	{"shop.v1.Many",
	 "42070a03612e6210014a0d08ffffffffffffffffff01120052060801120208025a0d08fffffffffffffffff"
	 "f011001",
	 "{\"i32\":[],\"d\":[],\"s\":[],\"raw\":[],\"inner\":[],\"colour\":[],\"loose\":[],\"coun"
	 "ts\":{\"a.b\":1},\"names\":{\"-1\":\"\"},\"flags\":{\"true\":{\"a\":2,\"many\":[]}},\"c"
	 "olours\":{\"18446744073709551615\":\"RED\"},\"values\":{},\"x32\":[],\"b\":[]}"},
	{"shop.v1.Many", "42050a0161100142050a0162100242050a0162100342004a0052006200",
	 "{\"i32\":[],\"d\":[],\"s\":[],\"raw\":[],\"inner\":[],\"colour\":[],\"loose\":[],\"coun"
	 "ts\":{\"a\":1,\"b\":3,\"\":0},\"names\":{\"0\":\"\"},\"flags\":{\"false\":{\"a\":0,\"ma"
	 "ny\":[]}},\"colours\":{},\"values\":{\"0\":null},\"x32\":[],\"b\":[]}"},
	{"shop.v1.Known",
	 "0a0c08a5facdac061080eba5c302121608ffffffffffffffffff011080b6ca91feffffffff011a00220b088"
	 "08080808080808080012a030a017832003a030a0101422a0a280a0162122332210a0911000000000000f03f"
	 "0a031a01780a0b2a090a070a0163120220010a0208004a0d320b0a0911000000000000f83f52020a005a0c0"
	 "a000a03612e620a03635f64621b0a15747970652e676f6f676c65617069732e636f6d2f78120201026a007a"
	 "0b088092b8c398feffffff017a0708ff82d1ffaf078201050dcdcccc3d8a010608ffffffff0f",
	 "{\"at\":\"2024-01-02 03:04:05.678+00\",\"took\":\"PT-1.5S\",\"d\":0,\"i64\":-9223372036"
	 "854775808,\"s\":\"x\",\"b\":false,\"raw\":\"\\\\x01\",\"object\":{\"b\":[1,\"x\",{\"c\""
	 ":true},null]},\"value\":[1.5],\"list\":[null],\"mask\":\",a.b,c_d\",\"any\":{\"type_url"
	 "\":\"type.googleapis.com/x\",\"value\":\"\\\\x0102\"},\"empty\":{},\"null\":null,\"time"
	 "s\":[\"0001-01-01 00:00:00+00\",\"9999-12-31 23:59:59+00\"],\"f\":0.1,\"u32\":429496729"
	 "5}"},
	{"old.Old",
	 "08011200180021000000000000e03f2a003200380240014800500150025a020304630805130a01781413146"
	 "468007500000040a00603",
	 "{\"id\":1,\"name\":\"\",\"preset\":0,\"real\":0.5,\"text\":\"\",\"raw\":\"\\\\x\",\"siz"
	 "e\":\"LARGE\",\"large\":\"SMALL\",\"yes\":false,\"list\":[1,2],\"packed\":[3,4],\"part"
	 "\":{\"a\":5,\"sub\":[{\"b\":\"x\"},{}]},\"most\":0,\"small\":2,\"notes\":{}}"},
	{"shop.v1.Mixed",
	 "0a3608011200180021000000000000e03f2a003200380240014800500150025a020304630805130a0178141"
	 "3146468007500000040a00603120012d4010a0c08a5facdac061080eba5c302121608ffffffffffffffffff"
	 "011080b6ca91feffffffff011a00220b08808080808080808080012a030a017832003a030a0101422a0a280"
	 "a0162122332210a0911000000000000f03f0a031a01780a0b2a090a070a0163120220010a0208004a0d320b"
	 "0a0911000000000000f83f52020a005a0c0a000a03612e620a03635f64621b0a15747970652e676f6f676c6"
	 "5617069732e636f6d2f78120201026a007a0b088092b8c398feffffff017a0708ff82d1ffaf078201050dcd"
	 "cccc3d8a010608ffffffff0f1a00",
	 "{\"old\":{\"id\":1,\"name\":\"\",\"preset\":0,\"real\":0.5,\"text\":\"\",\"raw\":\"\\\\"
	 "x\",\"size\":\"LARGE\",\"large\":\"SMALL\",\"yes\":false,\"list\":[1,2],\"packed\":[3,4"
	 "],\"part\":{\"a\":5,\"sub\":[{\"b\":\"x\"},{}]},\"most\":0,\"small\":2,\"notes\":{}},\""
	 "known\":[{\"null\":null,\"times\":[]},{\"at\":\"2024-01-02 03:04:05.678+00\",\"took\":"
	 "\"PT-1.5S\",\"d\":0,\"i64\":-9223372036854775808,\"s\":\"x\",\"b\":false,\"raw\":\"\\\\"
	 "x01\",\"object\":{\"b\":[1,\"x\",{\"c\":true},null]},\"value\":[1.5],\"list\":[null],\""
	 "mask\":\",a.b,c_d\",\"any\":{\"type_url\":\"type.googleapis.com/x\",\"value\":\"\\\\x01"
	 "02\"},\"empty\":{},\"null\":null,\"times\":[\"0001-01-01 00:00:00+00\",\"9999-12-31 23:"
	 "59:59+00\"],\"f\":0.1,\"u32\":4294967295}],\"mixed\":{\"known\":[]}}"},
	{"shop.v1.Plain", "28", "!bad_protobuf"},
	{"shop.v1.Plain", "28ffffffffffffffffffff01", "!bad_protobuf"},
	{"shop.v1.Plain", "28ffffffffffffffffff02", "!bad_protobuf"},
	{"shop.v1.Plain", "00", "!bad_protobuf"},
	{"shop.v1.Plain", "0001", "!bad_protobuf"},
	{"shop.v1.Plain", "2e", "!bad_protobuf"},
	{"shop.v1.Plain", "2f", "!bad_protobuf"},
	{"shop.v1.Plain", "2a0101", "!bad_protobuf"},
	{"shop.v1.Plain", "4d00000000", "!bad_protobuf"},
	{"shop.v1.Plain", "4a0561", "!bad_protobuf"},
	{"shop.v1.Plain", "4affffffffffffffffff0161", "!bad_protobuf"},
	{"shop.v1.Plain", "0900", "!bad_protobuf"},
	{"shop.v1.Plain", "150000", "!bad_protobuf"},
	{"shop.v1.Plain", "a306", "!bad_protobuf"},
	{"shop.v1.Plain", "a406", "!bad_protobuf"},
	{"shop.v1.Plain", "a306ac06", "!bad_protobuf"},
	{"shop.v1.Plain", "8080808010", "!bad_protobuf"},
	{"shop.v1.Many", "0a0180", "!bad_protobuf"},
	{"shop.v1.Many", "12020000", "!bad_protobuf"},
	{"shop.v1.Presence", "3a020880", "!bad_protobuf"},
	{"old.Old", "", "!bad_protobuf"},
	{"old.Old", "080163", "!bad_protobuf"},
	{"old.Old", "0801631000", "!bad_protobuf"},
	{"shop.v1.Mixed", "0a00", "!bad_protobuf"},
	{"shop.v1.Known", "0a07088083d1ffaf07", "!bad_protobuf"},
	{"shop.v1.Known", "0a0b08ff91b8c398feffffff01", "!bad_protobuf"},
	{"shop.v1.Known", "0a0b10ffffffffffffffffff01", "!bad_protobuf"},
	{"shop.v1.Known", "0a06108094ebdc03", "!bad_protobuf"},
	{"shop.v1.Known", "120d080110ffffffffffffffffff01", "!bad_protobuf"},
	{"shop.v1.Known", "120d08ffffffffffffffffff011001", "!bad_protobuf"},
	{"shop.v1.Known", "12070881bcaece9709", "!bad_protobuf"},
	{"shop.v1.Known", "1206108094ebdc03", "!bad_protobuf"},
};

#endif
